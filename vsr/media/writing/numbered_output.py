"""Numbered pictures made of encoded parts: each packet is a PNG, which becomes a file of the kind that is wanted.

All are written and read back before the first takes its name.
"""

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from vsr.durable import WorkFolder, give_name, real_path, sync
from vsr.errors import SinkError, VerifyError, reason_of
from vsr.frames import Frame, StreamInfo
from vsr.media.ffmpeg import local
from vsr.media.images import codec
from vsr.media.images.metadata import DamagedError
from vsr.media.images.numbered import numbered_files, path_of
from vsr.media.images.png import pixels_alone, with_metadata
from vsr.media.images.probe_image import is_image
from vsr.media.images.to_kind import difference, fitted, source_header
from vsr.media.target import check_target, unverified_names
from vsr.media.writing.encode import Encoded, constant_rate
from vsr.media.writing.encoders import EncoderChoice
from vsr.media.writing.report import WriteReport, names_of
from vsr.media.writing.verify import Verification
from vsr.prefetch import parallel_map
from vsr.pulse import beat

_AT_ONCE = min(8, os.cpu_count() or 1)
"""Pictures that are encoded side by side; libraries of codecs let go of Python meanwhile."""


@dataclass(frozen=True)
class NumberedOutput:
    """Pictures of which each is a frame. They keep the numbers of a source of numbered pictures, else count from 1."""

    path: Path
    """Such as `out/%05d.png`."""
    source: StreamInfo
    container: str
    """A name of `images.kinds.KINDS`, such as `png`."""
    choice: EncoderChoice
    """Of the packets."""
    stream: int = 0
    """Which of the streams that were encoded it holds."""
    bit_depth: int = 8
    """Of the pictures, where their kind holds it."""
    quality: int = 75
    """Of kinds that lose something."""

    def check(self) -> None:
        """Raise SinkError where the folder is missing, or a picture would overwrite one of the source."""
        check_target(self.path, Path(self.source.path))
        here = real_path(self.path.parent)
        for number, file in self.source.pictures:
            if real_path(file.parent) == here and file.name == self.path.name % number:
                raise SinkError(f"output {file} is an input itself; name another folder")

    def standing(self) -> list[Path]:
        """Files that are there under names of pictures to be."""
        wanted = {number for number, _ in self.source.pictures}
        there = numbered_files(self.path)
        return [file for number, file in there.items() if not wanted or number in wanted]

    def prepare(self, parts: Sequence[Encoded], work: WorkFolder, doubt: str = "") -> "PreparedPictures":
        """Write all pictures in a work folder on the output's own file system, and read them back; `doubt` is what is
        wrong with them in any case.

        Raises:
            VerifyError: they differ from what was written; they stay in a folder of their own.
            SinkError: they cannot be written.
        """
        made, notes, wrong = dict[int, Path](), dict[str, None](), [doubt] if doubt else []
        files = (work.fresh("picture", self.path.suffix) for _ in count())
        pictures = zip(_numbers(parts, self.source), self._packets(parts), files, strict=False)
        write = partial(self._write, originals=dict(self.source.pictures))
        try:
            for done in parallel_map(write, pictures, workers=_AT_ONCE, name="vsr-pictures"):
                made[done.number] = done.file
                notes |= dict.fromkeys(done.notes)
                wrong += [f"number {done.number}: {done.different}"] if done.different else []
            if len(made) != (expected := sum(len(part.pts) for part in parts)):
                wrong.append(f"{len(made)} pictures are there, and {expected} frames were encoded")
            if wrong:
                aside = self._put_aside(made)
                of = "are not all of the source" if doubt else "differ from what was written"
                raise VerifyError(f"the pictures in {aside} {of}: {'; '.join(wrong[:8])}")
        except (FFmpegError, OSError) as error:
            raise self.unwritable(error) from error
        except (codec.EncoderError, DamagedError) as error:
            raise SinkError(f"{self.path}: a picture cannot be encoded: {error}") from error
        return PreparedPictures(self, made, tuple(notes), _left_out(self.source, parts))

    def unwritable(self, error: Exception) -> SinkError:
        """What is said of an error of the system's."""
        return SinkError(f"pictures cannot be written to {str(self.path.parent)!r}: {reason_of(error)}")

    def _put_aside(self, made: Mapping[int, Path]) -> Path:
        """Keep pictures that are not as they should be, under their names in a folder of their own."""
        for aside in unverified_names(self.path.parent / "pictures"):
            with suppress(FileExistsError):
                aside.mkdir()
                for number, file in made.items():
                    give_name(file, path_of(aside / self.path.name, number), replace=False, synced=False)
                return aside
        raise AssertionError

    def _packets(self, parts: Sequence[Encoded]) -> Iterator[bytes]:
        for part in parts:
            with av.open(local(part.path), format="nut") as opened:
                for packet in opened.demux(opened.streams[self.stream]):
                    if packet.size:
                        yield bytes(packet)

    def _write(self, picture: tuple[int, bytes, Path], *, originals: Mapping[int, Path]) -> "_Written":
        """Make one picture's file, see it onto the disk and read it back."""
        number, packet, file = picture
        original = originals.get(number)
        header, notes = source_header(original) if original is not None and is_image(original) else (None, ())
        fits = fitted(self._frame(packet), self.container, header)
        if self.container == "png":
            data, reduced = with_metadata(pixels_alone(packet), fits.metadata), tuple[str, ...]()
        else:
            data, reduced = codec.encode_image(
                fits.pixels,
                self.container,
                quality=self.quality,
                metadata=fits.metadata,
                bit_depth=fits.bit_depth,
                transfer=fits.transfer,
            )
        file.write_bytes(data)
        sync(file)
        beat()
        return _Written(
            number, file, (*notes, *fits.notes, *reduced), difference(file, self.path.suffix, fits)
        )

    def _frame(self, packet: bytes) -> Frame:
        """The picture of a packet, of the depth that is wanted where the packet has been given more."""
        pixels, depth = (
            codec.decode_image(packet, codec.image_header(packet, "png")),
            self.choice.format.bit_depth,
        )
        if self.bit_depth < depth and self.container != "png":
            factor, depth = ((1 << self.bit_depth) - 1) / ((1 << depth) - 1), self.bit_depth
            pixels = np.rint(pixels * np.float64(factor)).astype(np.uint8 if depth == 8 else np.uint16)
        planes = tuple(pixels[..., channel] for channel in range(pixels.shape[2]))
        return Frame(planes, replace(self.choice.format, bit_depth=depth))


@dataclass(frozen=True, slots=True)
class _Written:
    number: int
    file: Path
    notes: tuple[str, ...]
    different: str
    """How it differs from what was to be written; empty where it does not."""


def _numbers(parts: Sequence[Encoded], source: StreamInfo) -> "array[int]":
    if source.pictures:
        return array("q", (pts for part in parts for pts in part.pts))
    return array("q", range(1, 1 + sum(len(part.pts) for part in parts)))


def _left_out(source: StreamInfo, parts: Sequence[Encoded]) -> tuple[str, ...]:
    """What pictures cannot hold, one line each."""
    left = list(names_of(source, "pictures hold none"))
    if source.rotation and not source.pictures:
        left.append(f"rotation by {source.rotation}°: the pictures are as they are stored")
    if not source.pictures and not constant_rate(parts):
        left.append("times: frames are shown for longer and shorter, and pictures have only numbers")
    return tuple(left)


@dataclass(frozen=True)
class PreparedPictures:
    """Finished and verified pictures that have not got their names yet."""

    output: NumberedOutput
    made: Mapping[int, Path]
    """Files by number."""
    notes: tuple[str, ...]
    left_out: tuple[str, ...]

    def names(self) -> list[tuple[Path, Path]]:
        """The name that each has, and the one it will have."""
        return [(file, path_of(self.output.path, number)) for number, file in self.made.items()]

    def publish(self, *, replace: bool) -> WriteReport:
        """Give them their names; `replace` says whether what bears one may lose it.

        Raises:
            SinkError: one cannot have it.
        """
        output, num_bytes = self.output, sum(file.stat().st_size for file in self.made.values())
        for file, target in self.names():
            try:
                give_name(file, target, replace=replace, synced=False)
            except FileExistsError:
                meanwhile = f"{target} has come to exist meanwhile"
                raise SinkError(f"{meanwhile}; pass --overwrite to replace it") from None
            except OSError as error:
                raise output.unwritable(error) from error
        sync(output.path.parent)
        others = len(numbered_files(output.path)) - len(self.made)
        notes = [*output.choice.notes, *self.notes, *(f"left out: {line}" for line in self.left_out)]
        if others:
            notes.append(f"{others} pictures of other numbers lie in {output.path.parent}, and stay")
        return WriteReport(
            path=output.path,
            container=output.container,
            encoder=output.choice.encoder,
            why=output.choice.why,
            num_frames=len(self.made),
            num_bytes=num_bytes,
            copied=(),
            converted=(),
            left_out=self.left_out,
            notes=tuple(notes),
            verification=Verification(len(self.made), Fraction(0), ()),
        )
