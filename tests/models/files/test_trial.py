"""Files of strangers take neither all memory nor all time, and crash nobody but the process that tries them."""

import os
import pickle
import signal
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.onnx_files import has_runtime, node, value, weights, write
from support.opencv_graphs import constant
from support.opencv_graphs import node as tf_node
from support.protobuf_writer import field
from torch import Tensor

from vsr.errors import ModelError
from vsr.models import load
from vsr.models.files import any_file, trial
from vsr.models.files.spandrel import _check_numbers
from vsr.models.networks.compact import CompactNet
from vsr.models.networks.plain import PlainNet


def refusal(path: Path, *, within_s: float = 40) -> str:
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load(str(path))
    assert time.monotonic() - began < within_s
    line = str(caught.value)
    assert "\n" not in line
    assert path.name in line
    return line


def with_opcodes(path: Path, opcodes: bytes, *, zipped: bool = False) -> Path:
    """A checkpoint whose content is what a pickle of these operations leaves."""
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", opcodes)
            archive.writestr("archive/version", "3\n")
    else:
        old = [pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        path.write_bytes(b"".join(old) + opcodes + pickle.dumps([], 2))
    return path


COUNT = b"\x8a\x05" + (16 << 30).to_bytes(5, "little")
LARGE = {
    "by name": b"\x80\x02cbuiltins\nbytearray\n" + COUNT + b"\x85R.",
    "by name of Python 2": b"\x80\x02c__builtin__\nbytearray\n" + COUNT + b"\x85R.",
    "from the stack": b"\x80\x04\x8c\x08builtins\x8c\x09bytearray\x93" + COUNT + b"\x85R.",
}


@pytest.mark.parametrize("how", LARGE)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_bytearray_is_no_weight(tmp_path: Path, how: str, zipped: bool):
    path = with_opcodes(tmp_path / "large.pth", LARGE[how], zipped=zipped)
    assert "asks for a bytearray, which is no tensor" in refusal(path)


DEEP = 100_000
NESTED = {
    "tuples as a key": b"\x80\x02}(" + b")" + b"\x85" * DEEP + b"K\x01u.",
    "lists": b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "a tuple in itself by memory": b"\x80\x02)q\x00" + b"\x85q\x00h\x00\x86q\x00" * (DEEP // 2) + b".",
}


@pytest.mark.parametrize("what", NESTED)
def test_what_nests_too_deep_is_refused(tmp_path: Path, what: str):
    assert "nests more than 200 deep" in refusal(with_opcodes(tmp_path / "deep.pth", NESTED[what]))


def crashes(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def takes_all(_: Path) -> None:
    bytearray(3 << 30)


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (crashes, "it crashes its reader"),
        (takes_all, f"takes more than 1.1 GB .* {trial.MOST_TIMES}=4 allows"),
    ],
)
def test_harm_is_the_trial_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], None], line: str
):
    path = tmp_path / "net.pth"
    path.write_bytes(b"weights")
    with pytest.raises(ModelError, match=f"net.pth .*{line}"):
        trial.try_out(read, path)
    monkeypatch.setenv(trial.MOST_TIMES, "0")
    trial.try_out(read, path)
    monkeypatch.setenv(trial.MOST_TIMES, "much")
    with pytest.raises(ModelError, match="a number such as 4 is expected"):
        trial.try_out(read, path)


def compact() -> dict[str, Tensor]:
    return dict(CompactNet(channels=8, depth=2, scale=2, colors=3).state_dict())


def plain() -> dict[str, Tensor]:
    return dict(PlainNet(channels=8, depth=2, scale=2, colors=3).state_dict())


def without(tensors: dict[str, Tensor], *keys: str) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if key not in keys}


def odd_keys() -> dict[str, dict[str, Tensor]]:
    first = compact()
    last = max(first, key=lambda key: int(key.split(".")[1]))
    number = int(last.split(".")[1])
    return {
        "a number with zeros before it": without(first, last) | {f"body.00{number}.weight": first[last]},
        "a bias of another layer": first | {f"body.{number + 5}.bias": torch.zeros(4)},
        "a number of 5,000 digits": first | {f"body.{'9' * 5000}.weight": torch.zeros(4)},
        "a number that is none": first | {"body.x.weight": torch.zeros(4)},
        "no name at all": plain() | {"": torch.zeros(4)},
        "a name of what is left out alone": plain() | {"module.": torch.zeros(4)},
        "weights without sides": {key: torch.zeros(()) for key in first},
        "weights of nothing": {key: torch.zeros(0, 3, 3, 3) for key in first},
        "weights with too many sides": {key: torch.zeros(1, 1, 1, 1, 1, 1) for key in first},
    }


@pytest.mark.parametrize("what", odd_keys())
def test_odd_names_and_shapes_are_refused_in_a_line(tmp_path: Path, what: str):
    save_file({k: v.contiguous() for k, v in odd_keys()[what].items()}, tmp_path / "odd.safetensors")
    assert len(refusal(tmp_path / "odd.safetensors")) < 700


@pytest.mark.parametrize("key", ["body.100000002.bias", "layers.99999.w", f"m.{'7' * 6000}.w"])
def test_blocks_without_number_are_not_made(key: str):
    with pytest.raises(ModelError, match="numbers up to 9999 are expected in names"):
        _check_numbers(Path("far.pth"), {key: torch.zeros(1)})


def test_a_graph_whose_constants_grow_together_is_refused(tmp_path: Path):
    """A column and a row, added: 3.6 billion numbers of 120,000."""
    side = 60_000
    content = tf_node("input", "Placeholder") + constant("kernel", np.zeros((1, 1, 1, 4), np.float32))
    for name, shape in (("column", (1, 1, side, 1)), ("row", (1, 1, 1, side))):
        content += constant(name, np.zeros(shape, np.float32))
    for operation in ("Add", "Mul", "Maximum"):
        path = tmp_path / f"{operation}.pb"
        path.write_bytes(
            content + tf_node("large", operation, "column", "row") + tf_node("out", "Add", "input", "large")
        )
        assert refusal(path)


def loops() -> bytes:
    """A Loop that goes on 2⁶² times over the picture."""
    body = node("Identity", ["going"], "still") + node("Identity", ["seen"], "made") + field(2, "body")
    true = field(2, 9) + field(9, b"\1") + field(8, "yes")
    count = field(2, 7) + field(9, struct.pack("<q", 1 << 62)) + field(8, "times")
    scalar = lambda name, kind: field(1, name) + field(2, field(1, field(1, kind) + field(2, b"")))  # noqa: E731
    body += (
        field(11, scalar("turn", 7))
        + field(11, scalar("going", 9))
        + field(11, value("seen", ["a", 3, "h", "w"]))
    )
    body += field(12, scalar("still", 9)) + field(12, value("made", ["a", 3, "h", "w"]))
    loop = b"".join(field(1, key) for key in ("times", "yes", "in")) + field(2, "out") + field(4, "Loop")
    loop += field(5, field(1, "body") + field(6, body) + field(20, 5))
    return field(5, true) + field(5, count) + field(1, loop)


def scales(factor: float) -> bytes:
    sizes = weights("scales", np.array([1, 1, factor, factor], np.float32))
    return sizes + node("Resize", ["in", "", "scales"], "out", mode="nearest")


def tiled(times: int) -> bytes:
    packed = struct.pack("<4q", 1, 1, times, times)
    repeats = field(5, field(1, 4) + field(2, 7) + field(8, "repeats") + field(9, packed))
    return repeats + node("Tile", ["in", "repeats"], "out")


@pytest.mark.parametrize("what", ["resized", "repeated", "looped"])
def test_onnx_graphs_that_would_take_all_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    has_runtime()
    monkeypatch.setitem(trial._SECONDS, ".onnx", 1.0)
    nodes = {"resized": scales(1000), "repeated": tiled(2000), "looped": loops()}[what]
    path = write(tmp_path / "net.onnx", nodes, [1, 3, "h", "w"], [1, 3, "H", "W"])
    line = refusal(path)
    assert ("was not read in 1 s of processor time" in line) == (what == "looped"), line


def test_good_files_are_tried_once_and_known_ones_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tries: list[Path] = []
    monkeypatch.setattr(any_file, "try_out", lambda read, path: tries.append(path))
    save_file({key: value.contiguous() for key, value in compact().items()}, tmp_path / "net.safetensors")
    assert load(str(tmp_path / "net.safetensors")).spec.scale == 2
    load("nano-x2")
    assert tries == [tmp_path / "net.safetensors"]


def waits_for_ever(_: Path) -> None:
    signal.pause()


def waits_once(path: Path) -> None:
    if path.read_bytes() == b"first":
        path.write_bytes(b"second")
        signal.pause()


def test_what_waits_is_noticed_by_its_using_no_processor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trial, "_STUCK_S", 0.25)
    path = tmp_path / "net.pth"
    path.write_bytes(b"first")
    with pytest.raises(ModelError, match=r"net.pth .*waits and gets no further"):
        trial.try_out(waits_for_ever, path)
    trial.try_out(waits_once, path)  # a fork that met a lock in another thread's hands
    assert path.read_bytes() == b"second"
