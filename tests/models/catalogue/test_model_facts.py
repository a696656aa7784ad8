"""The record of what is known of our own models: against the networks themselves, and against the cards beside them."""

import subprocess
import sys
from dataclasses import replace

import pytest

from vsr.models.catalogue.card import _described, card_text
from vsr.models.catalogue.loading import load
from vsr.models.catalogue.model_facts import BUILT_IN, WEIGHTS, ModelFacts


@pytest.mark.parametrize("facts", BUILT_IN, ids=lambda facts: facts.name)
def test_the_record_says_of_a_network_what_the_network_says(facts: ModelFacts):
    known = replace(facts, **dict.fromkeys(("num_frames", "remembers", "latency", "tiles", "parameters")))
    assert _described(facts.name, load(facts.name), known) == facts


def test_the_cards_in_the_folder_are_those_that_the_record_writes():
    written = {f"{facts.name}.md": card_text(facts) for facts in BUILT_IN if facts.card}
    assert {path.name: path.read_text(encoding="utf-8") for path in WEIGHTS.glob("*.md")} == written
    assert set(WEIGHTS.glob("*.safetensors")) == {facts.path for facts in BUILT_IN if facts.card}


def test_listing_and_showing_what_we_know_needs_no_torch():
    code = """
import sys
from vsr.models import all_cards, card_of, shown
assert len([shown(card) for card in all_cards()]) > 40
assert shown(card_of("fast-x2"))["text"].startswith("# fast-x2")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
