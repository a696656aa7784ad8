import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import count, islice, pairwise

import numpy as np
import pytest
import torch
from support.networks import tiny
from torch import Tensor

from vsr.cli.main import run
from vsr.engine.engine import Engine
from vsr.engine.unchanged import Contents
from vsr.frames import Frame, PictureFormat
from vsr.media.reading.source import VideoSource
from vsr.media.writing.sink import FileSink, MemorySink
from vsr.models.networks.plain import PlainNet
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EncodeOptions, EngineOptions
from vsr.pipeline import Report, enhance

FORMAT = PictureFormat(18, 26, layout="yuv420", alpha=True, matrix="bt709")
TWOS = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
STILLS = [0] * 6 + [1] + [2] * 5
HELD = [0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 0, 0, 0]
SHOWN = [TWOS, STILLS, HELD]


def clip(shown: Sequence[int], *, resets: Sequence[int] = (), alike: bool = True) -> list[Frame]:
    """Random pictures by number, at uneven times. Where they are not `alike`, the opacity tells all frames apart."""
    frames = []
    for place, number in enumerate(shown):
        rng = np.random.default_rng(number)
        planes = [rng.integers(16, 236, FORMAT.plane_size(i)).astype(np.uint8) for i in range(3)]
        alpha = np.full(FORMAT.plane_size(3), number if alike else place, np.uint8)
        pts = place * place * 31 + 5
        frames.append(Frame((*planes, alpha), FORMAT, pts=pts, duration=place % 7, reset=place in resets))
    return frames


def cpu(**options: object) -> EngineOptions:
    return EngineOptions(**({"device": "cpu", "precision": "fp32", "threads": 1} | options))  # type: ignore[arg-type]


class Around:
    """Adds to each picture its neighbours, unevenly, and enlarges; counts its windows."""

    def __init__(self, context: Context, scale: int):
        self.context, self.scale, self.num_windows = context, scale, 0

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        self.num_windows += frames.shape[0]
        span = self.context.before + 1 + self.context.after
        weights = torch.arange(1, span + 1).view(1, -1, 1, 1, 1) / (span * (span + 1) / 2)
        each = [(frames[:, i : i + span] * weights).sum(1) for i in range(self.context.emit)]
        out = torch.stack(each, 1)
        return out.repeat_interleave(self.scale, 3).repeat_interleave(self.scale, 4), None


def around(before: int = 0, after: int = 0, emit: int = 1, scale: int = 1, colors: int = 1) -> Model:
    context = Context(before=before, after=after, emit=emit)
    spec = ModelSpec("around", scale=scale, in_channels=colors, context=context)  # type: ignore[arg-type]
    return Model(spec, Around(context, scale))


def windows_run(model: Model) -> int:
    assert isinstance(model.network, Around)
    return model.network.num_windows


CHAINS = {
    "single frames": lambda: [around(scale=2)],
    "neighbours": lambda: [around(1, 1)],
    "chunks": lambda: [around(emit=2)],
    "chunks with neighbours": lambda: [around(1, 2, emit=3)],
    "two in a row": lambda: [around(1, 0, scale=2), around(0, 1, colors=3)],
    "no model": list,
    "a network": lambda: [Model(ModelSpec("tiny", scale=2, halo=3, residual="bicubic"), tiny(2))],
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("options", [{}, {"batch": 3}, {"threads": 2}])
def test_what_is_reused_equals_what_is_computed(chain, shown, options):
    reusing = Engine(CHAINS[chain](), cpu(**options), size=(40, 50))
    computing = Engine(CHAINS[chain](), cpu(**options), size=(40, 50))
    resets = (shown.index(2),)
    reused = list(reusing.run(clip(shown, resets=resets)))
    computed = list(computing.run(clip(shown, resets=resets, alike=False)))
    assert computing.num_reused == 0
    assert [replace(f, planes=()) for f in reused] == [replace(f, planes=()) for f in computed]
    assert [f.pts for f in reused] == [f.pts for f in clip(shown)]
    for ours, theirs in zip(reused, computed, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours.planes[:3], theirs.planes[:3], strict=True))


def num_equal_neighbours(keys: Sequence[object]) -> int:
    return sum(a == b for a, b in pairwise(keys))


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (1, 2)])
def test_a_network_runs_once_for_windows_that_show_the_same(shown, batch, before, after):
    model = around(before, after)
    engine = Engine([model], cpu(batch=batch))
    list(engine.run(clip(shown)))
    ends = len(shown) - 1
    keys = [[shown[min(max(n + d, 0), ends)] for d in range(-before, after + 1)] for n in range(len(shown))]
    assert engine.num_reused == num_equal_neighbours(keys)
    assert windows_run(model) == len(shown) - num_equal_neighbours(keys)


def test_a_second_model_reuses_what_the_first_one_gave_twice():
    first, second = around(), around(1, 0)
    engine = Engine([first, second], cpu())
    list(engine.run(clip([0, 0, 0, 1, 1, 1])))
    assert (windows_run(first), windows_run(second), engine.num_reused) == (2, 3, 3)


def test_a_scene_that_begins_with_the_same_picture_is_reused_where_the_windows_agree():
    model = around(1, 1)
    engine = Engine([model], cpu())
    frames = clip([0, 0, 0, 0, 0], resets=(2,))
    assert [f.reset for f in engine.run(frames)] == [f.reset for f in frames]
    assert windows_run(model) == 1


def test_a_chunk_that_emits_more_than_the_one_before_is_computed():
    model = around(emit=3)
    # The first scene's only chunk is padded: (0, 0, 0) for two frames; the next one emits three from the same.
    out = list(Engine([model], cpu()).run(clip([0] * 5, resets=(2,))))
    assert len(out) == 5
    assert windows_run(model) == 2


class Counter:
    """Adds the number of steps so far."""

    def init_state(self, batch: int, height: int, width: int) -> Tensor:
        return torch.zeros(())

    def step(self, frames: Tensor, state: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        return frames * 0 + state, state + 0.1


def test_a_network_with_a_state_sees_every_frame_and_so_does_what_follows_it():
    follower = around()
    counter = Model(ModelSpec("counter", scale=1, context=Context(stateful=True)), Counter())
    engine = Engine([counter, follower], cpu())
    out = list(engine.run(clip([0] * 4)))
    assert len({int(f.planes[0][0, 0]) for f in out}) == 4
    assert (windows_run(follower), engine.num_reused) == (4, 0)


def numbers(frames: Sequence[Frame]) -> list[int]:
    contents = Contents()
    return [contents.number(frame) for frame in frames]


@pytest.mark.parametrize("plane", range(4))
def test_one_sample_anywhere_makes_another_picture(plane):
    frames = clip([0, 0, 0])
    changed = frames[1].planes[plane].copy()
    changed[-1, -1] ^= 1
    frames[1] = replace(
        frames[1], planes=(*frames[1].planes[:plane], changed, *frames[1].planes[plane + 1 :])
    )
    assert numbers(frames) == [0, 1, 2]


def test_the_same_samples_in_another_format_are_another_picture():
    frames = clip([0, 0, 0])
    other = replace(FORMAT, matrix="smpte170m")
    frames[1] = replace(frames[1], format=other)
    frames.append(
        replace(frames[0], format=replace(FORMAT, layout="yuv444"), planes=frames[0].planes[:1] * 4)
    )
    assert numbers(frames) == [0, 1, 2, 3]


@pytest.mark.parametrize(("batch", "after"), [(1, 0), (1, 2), (4, 0)])
def test_a_still_camera_neither_waits_nor_gathers_frames(batch, after):
    alive: list[weakref.ref[Frame]] = []
    picture = clip([0])[0]

    class Seen(Frame):
        __slots__ = ("__weakref__",)

    def camera() -> Iterator[Frame]:
        for n in count():
            frame = Seen(tuple(plane.copy() for plane in picture.planes), FORMAT, pts=n)
            alive.append(weakref.ref(frame))
            yield frame

    out = Engine([around(0, after)], cpu(batch=batch)).run(camera())
    for n, frame in enumerate(islice(out, 60)):
        assert frame.pts == n
        assert len(alive) <= n + after + batch
    assert sum(ref() is not None for ref in alive) <= 3
    out.close()


SHOWN_IN_FILE = [0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 4, 4]
TIMES = [0, 40, 80, 130, 160, 200, 250, 280, 320, 360, 400, 450]


@pytest.fixture
def on_twos_and_threes(make_clip):
    return make_clip("twos.mkv", numbers=SHOWN_IN_FILE, pts=TIMES, time_base=Fraction(1, 1000), codec="ffv1")


def network() -> Model:
    torch.manual_seed(3)
    net = PlainNet(channels=4, depth=1, scale=2)
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    return Model(ModelSpec("net", scale=2, residual="bicubic", halo=3), net.eval())


def test_a_file_on_twos_keeps_every_time_and_gives_what_each_picture_gives_alone(on_twos_and_threes):
    source, sink = VideoSource(on_twos_and_threes), MemorySink()
    report = enhance(source, Engine([network()], cpu(threads=2)), sink)
    assert isinstance(report, Report)
    assert report.num_reused == len(TIMES) - len(set(SHOWN_IN_FILE))
    assert [frame.pts * frame.time_base for frame in sink.frames] == [Fraction(time, 1000) for time in TIMES]
    for frame, original in zip(sink.frames, source.frames(), strict=True):
        (alone,) = Engine([network()], cpu()).run([original])
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, alone.planes, strict=True))


def test_reused_frames_reach_the_file(on_twos_and_threes, tmp_path):
    source, engine = VideoSource(on_twos_and_threes), Engine([network()], cpu())
    options = EncodeOptions(encoder="ffv1")
    format = engine.output_format(source.info.format)
    with_reuse = MemorySink()
    enhance(source, engine, with_reuse)
    sink = FileSink(tmp_path / "out.mkv", source=source.info, format=format, options=options)
    enhance(source, engine, sink)
    written = list(VideoSource(tmp_path / "out.mkv").frames())
    for frame, wanted in zip(written, with_reuse.frames, strict=True):
        assert frame.pts * frame.time_base == wanted.pts * wanted.time_base
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, wanted.planes, strict=True))


def test_the_command_says_how_many_frames_were_reused(on_twos_and_threes, tmp_path, shelf, capsys):
    report = tmp_path / "report.json"
    arguments = ["enhance", str(on_twos_and_threes), "-o", str(tmp_path / "out.mkv"), "--report", str(report)]
    assert run([*arguments, "--preset", "ultrafast", "--model", "tiny"]) == 0
    assert "12 frames (7 reused, 58% of the area skipped)" in capsys.readouterr().err
    assert json.loads(report.read_text())[0]["pipeline"]["num_reused"] == 7
