"""What a pickle would do, found by reading it and doing nothing: which names it asks for, how deep it nests.

PyTorch's own reader runs no code of strangers, but takes `bytearray(16 << 30)` for weights, and ends the process
over tuples nested a hundred thousand deep.
"""

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_DEEPEST = 200
"""Levels of nesting; published checkpoints with an optimiser's state have a dozen."""

_NOT_WEIGHTS = frozenset({"bytearray", "set", "frozenset", "complex", "slice"})
"""Of `builtins`, what PyTorch would let in: no tensor is made of them, and the first takes any amount of memory."""

_MOST_PICKLES = 5
"""In a file of the old layout: magic number, version, system, content, keys; the tensors' bytes follow."""


def why_not(path: Path) -> str:
    """Say what speaks against reading a `.pth`; empty where nothing does, or it is no pickle and fails by itself."""
    try:
        for stream in _pickles(path):
            if reason := _reason(stream):
                return reason
    except (
        ValueError,
        IndexError,
        KeyError,
        EOFError,
        UnicodeError,
        OSError,
        zipfile.BadZipFile,
        RuntimeError,
    ):
        return ""  # damaged
    return ""


def _pickles(path: Path) -> Iterator[BinaryIO]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    yield io.BytesIO(archive.read(name))
        return
    with path.open("rb") as file:
        for _ in range(_MOST_PICKLES):
            yield file


def _reason(stream: BinaryIO) -> str:
    """Follow a pickle to its end with nothing but depths on the stack."""
    stack: list[int | None] = []
    """Depth of each value; None is a mark."""
    memo: dict[int, int] = {}
    texts: list[str] = []
    for code, given, _ in pickletools.genops(stream):
        if isinstance(given, str):
            texts = [*texts[-1:], given]
        name = _asked_for(code.name, given, texts)
        if name in _NOT_WEIGHTS:
            return f"asks for a {name}, which is no tensor"
        depth = _follow(code, given, stack, memo)
        if depth > _DEEPEST:
            return f"nests more than {_DEEPEST} deep"
    return ""


def _asked_for(code: str, given: Any, texts: list[str]) -> str:
    """The name of `builtins` that an operation asks for, if it does."""
    if code == "GLOBAL":
        module, _, name = str(given).partition(" ")
    elif code == "STACK_GLOBAL" and len(texts) == 2:
        module, name = texts
    else:
        return ""
    return name if module in ("builtins", "__builtin__") else ""


def _follow(code: Any, given: Any, stack: list[int | None], memo: dict[int, int]) -> int:
    """Do to the stack of depths what an operation does to that of values; returns the depth of what it leaves."""
    before, after = code.stack_before, code.stack_after
    if code.name in ("GET", "BINGET", "LONG_BINGET"):
        depth = memo.get(given, 0)
        stack.append(depth)
        return depth
    if code.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        depth = stack[-1] or 0
        memo[len(memo) if given is None else given] = depth
        return depth
    taken: list[int] = []
    if pickletools.markobject in before:
        while (top := stack.pop()) is not None:
            taken.append(top)
        before = before[: before.index(pickletools.markobject)]
    taken += [stack.pop() or 0 for _ in before]
    depth = 1 + max(taken) if taken and after else 0
    stack.extend(None if kind is pickletools.markobject else depth for kind in after)
    return depth
