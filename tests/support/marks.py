"""Marks of tests that need more than any machine has."""

import pytest

from vsr.engine.device import can_bf16

needs_bf16 = pytest.mark.skipif(not can_bf16(), reason="this processor does not run bf16")
