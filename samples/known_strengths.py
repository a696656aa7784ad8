"""How well `--source auto` tells clean from real, and how far off its noise is: clips damaged by known strengths.

    python samples/known_strengths.py DATA --clips 200

DATA is a folder with `train/clips2`, `train/DAVIS480p` and `train/photos2`: footage without noise. Clips are reduced by
2; photos are panned over, or stand still while a part of another one crosses them. A clip is clean, noisy, compressed
or both; by day, still or at night; a lossless file, H.264, HEVC, MPEG-4, MPEG-2, Motion JPEG, or one picture.

What is right: real where the noise that is left in the file is 4 or more, or from crf 27 on (quantiser 8, JPEG 78 and
worse); clean where none was added, up to crf 20 (quantiser 3, JPEG 92). What lies between is no mistake either way:
such clips are made until enough have a label, and count for the noise alone, which is held against `Damage.noise`.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from vsr.jobs.source_quality import judge_source, look_at_source
from vsr.media import probe, probe_image
from vsr.models import Damage, Verdict
from vsr.quality import compression_of, damage_of
from vsr.training.data.footage import find_clips, find_pictures, read_clip, read_picture
from vsr.training.data.grain import NoiseKind, drawn_kind, dusk, noisy

FRAMES = 28
KINDS = ("clean", "noisy", "compressed", "both")
SCENES = ("day", "day", "still", "night")


@dataclass(frozen=True)
class Coding:
    encoder: str
    option: str
    fine: tuple[int, int]
    """Qualities at which nothing shows."""
    coarse: tuple[int, int]
    share: float


CODINGS = (
    Coding("libx264", "crf", (10, 20), (27, 40), 0.4),
    Coding("libx265", "crf", (10, 20), (27, 40), 0.12),
    Coding("mpeg4", "q", (2, 3), (8, 20), 0.12),
    Coding("mpeg2video", "q", (2, 3), (8, 20), 0.08),
    Coding("mjpeg", "q", (2, 3), (8, 20), 0.08),
    Coding("jpeg", "quality", (92, 98), (25, 78), 0.2),
)


@dataclass(frozen=True)
class Known:
    """A file, and what is known of it."""

    path: Path
    kind: str
    scene: str
    stored: str
    added: float
    """σ of the noise in luma before storing."""
    noise: float
    """What `Damage.noise` of the file is."""
    compression: float

    @property
    def is_real(self) -> bool | None:
        """None where either is right."""
        if self.kind in ("compressed", "both") or self.noise >= 4:
            return True
        return False if self.kind == "clean" else None


def luma(pictures: np.ndarray) -> np.ndarray:
    """Of R, G, B, in code values of full range, as BT.601 makes it."""
    return pictures.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def haar(values: np.ndarray) -> np.ndarray:
    height, width = (side - side % 2 for side in values.shape[-2:])
    a, b = values[..., 0:height:2, 0:width:2], values[..., 0:height:2, 1:width:2]
    c, d = values[..., 1:height:2, 0:width:2], values[..., 1:height:2, 1:width:2]
    return (a - b - c + d) / 2


class Footage:
    """Scenes without noise, (T, H, W, 3)."""

    def __init__(self, data: Path):
        train = data / "train"
        self._clips = find_clips((str(train / "clips2"), str(train / "DAVIS480p")))
        self._photos = find_pictures((str(train / "photos2"),))

    def scene(self, kind: str, rng: np.random.Generator) -> np.ndarray:
        if kind == "still" or (kind == "night" and rng.random() < 0.5):
            return self._still(rng)
        return self._clip(rng) if rng.random() < 0.7 else self._pan(rng)

    def _clip(self, rng: np.random.Generator) -> np.ndarray:
        path = self._clips[rng.integers(len(self._clips))]
        frames = read_clip(path, shrink=1, frames=FRAMES)
        size = tuple(side // 2 - side // 2 % 2 for side in frames.shape[2:0:-1])
        small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
        there_and_back = [*range(len(small)), *range(len(small) - 2, 0, -1)]
        return small[np.resize(there_and_back, FRAMES)]

    def _photo(self, rng: np.random.Generator) -> np.ndarray:
        while True:
            photo = read_picture(self._photos[rng.integers(len(self._photos))])[0]
            if min(photo.shape[:2]) >= 360:
                return photo

    def _pan(self, rng: np.random.Generator) -> np.ndarray:
        photo, step = self._photo(rng), rng.integers(-3, 4, 2)
        room = FRAMES * 3
        height, width = (
            min(side - room, most) // 2 * 2 for side, most in zip(photo.shape, (288, 384), strict=False)
        )
        y, x = (room if s < 0 else 0 for s in step)
        return np.stack([photo[y + n * step[0] :, x + n * step[1] :][:height, :width] for n in range(FRAMES)])

    def _still(self, rng: np.random.Generator) -> np.ndarray:
        photo, other = self._photo(rng), self._photo(rng)
        height, width = (
            min(side, most) // 2 * 2 for side, most in zip(photo.shape, (288, 384), strict=False)
        )
        frames = np.repeat(photo[None, :height, :width], FRAMES, 0)
        if rng.random() < 0.7:
            size, y = int(rng.integers(24, 80)), int(rng.integers(0, height - 90))
            for n, frame in enumerate(frames):
                frame[y : y + size, 8 + 6 * n : 8 + 6 * n + size] = other[100 : 100 + size, 100 : 100 + size]
        return frames


def make(number: int, footage: Footage, folder: Path, rng: np.random.Generator) -> Known:
    kind, scene = KINDS[number % 4], SCENES[number // 4 % 4]
    coding = CODINGS[rng.choice(len(CODINGS), p=[coding.share for coding in CODINGS])]
    pictures = footage.scene(scene, rng).astype(np.float32)
    if coding.option == "quality":
        pictures = pictures[:1]
    if scene == "night":
        pictures = dusk(pictures, rng)
    undamaged, added = pictures, 0.0
    if kind in ("noisy", "both"):
        noise = drawn_kind(rng)
        if scene == "night" and rng.random() < 0.7:
            noise = NoiseKind(common=noise.common, photons=True, width=noise.width, blotches=noise.blotches)
        sigma = rng.uniform(2, 30) / np.sqrt(noise.common + (1 - noise.common) * 0.447)
        pictures = noisy(pictures, sigma, noise, rng)
    pictures = np.clip(np.rint(pictures), 0, 255).astype(np.uint8)
    added = float(haar(luma(pictures) - luma(undamaged)).std())
    low, high = coding.coarse if kind in ("compressed", "both") else coding.fine
    quality = int(rng.integers(low, high + 1))
    lossless = kind in ("clean", "noisy") and rng.random() < 0.25
    path, stored, compression = store(
        pictures, folder / f"{number}", coding, None if lossless else quality, rng
    )
    noise = float(haar(np.stack(list(decoded_luma(path))) - luma(undamaged)).std())
    return Known(path, kind, scene, stored, added, noise, compression)


def store(
    pictures: np.ndarray, path: Path, coding: Coding, quality: int | None, rng: np.random.Generator
) -> tuple[Path, str, float]:
    if coding.option == "quality":
        path = path.with_suffix(".jpg" if quality else ".png")
        cv2.imwrite(
            str(path), pictures[0, ..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality or 0] if quality else []
        )
        return path, f"JPEG {quality}" if quality else "PNG", (100 - quality) / 100 if quality else 0.0
    if quality is None:
        encode(pictures, path := path.with_suffix(".mkv"), "ffv1", {})
        return path, "FFV1", 0.0
    group = str(rng.choice([12, 250]))
    if coding.option == "crf":
        preset = (
            str(rng.choice(["ultrafast", "veryfast", "medium"]))
            if coding.encoder == "libx264"
            else "ultrafast"
        )
        options = {"crf": str(quality), "preset": preset, "g": group, "x265-params": "log-level=none"}
        if coding.encoder == "libx264":
            del options["x265-params"]
        compression = min(1.0, max(0.0, (quality - 12) / 35))
    else:
        options, compression = {"qmin": str(quality), "qmax": str(quality), "g": group}, quality / 24
    path = path.with_suffix(".avi" if coding.encoder == "mpeg4" else ".mkv")
    encode(pictures, path, coding.encoder, options)
    return path, f"{coding.encoder} {coding.option} {quality}", compression


def encode(pictures: np.ndarray, path: Path, encoder: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        full = encoder == "mjpeg"
        stream.pix_fmt = "yuvj420p" if full else "yuv420p"
        stream.height, stream.width = (side // 2 * 2 for side in pictures.shape[1:3])
        stream.codec_context.thread_count = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(picture[: stream.height, : stream.width]), "rgb24"
            )
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt, dst_colorspace=5)))
        container.mux(stream.encode(None))


def decoded_luma(path: Path) -> Iterator[np.ndarray]:
    if path.suffix in (".jpg", ".png"):
        yield luma(read_picture(path)[0])
        return
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.to_ndarray()[: frame.height].astype(np.float32)
            yield plane if frame.format.name == "yuvj420p" else (plane - 16) * (255 / 219)


@dataclass(frozen=True)
class Judged:
    """A clip, and what the look at it gave."""

    known: Known
    verdict: Verdict
    damage: Damage
    seconds: float

    @property
    def is_right(self) -> bool:
        return self.known.is_real is None or self.verdict.is_real == self.known.is_real

    @property
    def error(self) -> float:
        """Of the noise."""
        return self.damage.noise - self.known.noise


def judged(known: Known) -> Judged:
    begun = time.process_time()
    info = probe_image(known.path) if known.path.suffix in (".jpg", ".png") else probe(known.path)
    verdict = judge_source(info)
    seconds = time.process_time() - begun
    coding, look = look_at_source(info)
    return Judged(known, verdict, damage_of(look, compression_of(coding, look)), seconds)


def rms(errors: Sequence[float]) -> str:
    return f"{float(np.sqrt(np.mean(np.square(errors)))):.2f}" if errors else "-"


def row(name: str, clips: Sequence[Judged]) -> str:
    labelled = [one for one in clips if one.known.is_real is not None]
    real = [one for one in labelled if one.verdict.is_real]
    right = sum(one.is_right for one in labelled)
    noise = rms([one.error for one in clips])
    strength = rms([one.damage.compression - one.known.compression for one in clips])
    cells = (name, len(labelled), len(labelled) - len(real), len(real), right, noise, strength)
    return f"| {' | '.join(map(str, cells))} |"


def report(clips: Sequence[Judged]) -> None:
    print("| | labelled | taken for clean | for real | right | noise, RMS | compression, RMS |")
    print("| --- " * 7 + "|")
    for kind in KINDS:
        print(row(kind, [one for one in clips if one.known.kind == kind]))
    for scene in dict.fromkeys(SCENES):
        print(row(scene, [one for one in clips if one.known.scene == scene]))
    print(row("all", clips))
    for one in clips:
        if not one.is_right:
            known = one.known
            print(
                f"wrong: {known.kind}, {known.scene}, {known.stored}, noise {known.noise:.1f}: {one.verdict.why}"
            )
    between = [one.error for one in clips if 2 <= one.known.noise <= 30]
    print(f"noise from 2 to 30, {len(between)} clips: RMS {rms(between)}, mean {np.mean(between):+.2f}")
    seconds = [one.seconds for one in clips]
    print(f"seconds a file: {np.median(seconds):.3f}, at most {max(seconds):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    footage, rng = Footage(given.data), np.random.default_rng(given.seed)
    clips: list[Judged] = []
    with TemporaryDirectory() as folder:
        for number in count():
            clips.append(judged(make(number, footage, Path(folder), rng)))
            clips[-1].known.path.unlink()
            if sum(one.known.is_real is not None for one in clips) == given.clips:
                break
    report(clips)


if __name__ == "__main__":
    main()
