"""A finished video file: joined from what encoders made, read back, and only then given its name."""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import compress
from pathlib import Path

from vsr.durable import WorkFolder, give_free_name, give_name, work_folder
from vsr.errors import ConfigError, SinkError, VerifyError, reason_of
from vsr.frames import PictureFormat, StreamInfo
from vsr.media.target import check_target, unverified_names
from vsr.media.writing.encode import Encoded
from vsr.media.writing.encoders import EncoderChoice, choose_encoder, wanted_format
from vsr.media.writing.join import Joined, join
from vsr.media.writing.muxers import output_container
from vsr.media.writing.verify import Verification, verify
from vsr.options import AlsoOptions, EncodeOptions


@dataclass(frozen=True)
class WriteReport:
    """What a `FileSink` made."""

    path: Path
    container: str
    """`mp4`, `mkv`, `mov` or `webm`."""
    encoder: str
    """FFmpeg's name."""
    why: str
    """Why this encoder, one line."""
    num_frames: int
    num_bytes: int
    copied: tuple[str, ...]
    """Streams that went along as they were."""
    converted: tuple[str, ...]
    """Streams that the container could not hold as they were, `NAME: FROM to TO`."""
    left_out: tuple[str, ...]
    """Streams that could not go along, `NAME: REASON`."""
    notes: tuple[str, ...]
    """Lines that the user should read once."""
    verification: Verification


@dataclass(frozen=True)
class FileOutput:
    """A video file to be made of encoded parts and everything else that its source holds."""

    path: Path
    source: StreamInfo
    container: str
    """`mp4`, `mkv`, `mov` or `webm`."""
    choice: EncoderChoice
    stream: int = 0
    """Which of the streams that were encoded it holds."""
    trim: bool = False
    """The output begins at the first written frame, and the other streams are cut to the written span."""

    def check(self) -> None:
        """Raise SinkError where the output cannot be written, as far as can be told before."""
        check_target(self.path, Path(self.source.path))

    def prepare(self, parts: Sequence[Encoded], work: WorkFolder, doubt: str = "") -> "Prepared":
        """Join the parts in a work folder on the output's own file system, and verify the result; `doubt` is what is
        wrong with it in any case.

        Raises:
            VerifyError: the file differs from what was written; it stays as `NAME.unverified.EXT`.
            SinkError: joining failed.
        """
        own = [replace(part, stream=self.stream) for part in parts]
        finished, kept = work.fresh("joined", f".{self.container}"), self.choice.format
        joined = join(own, self.source, finished, container=self.container, format=kept, trim=self.trim)
        checked = verify(finished, own, joined, format=kept, rotation=self.source.rotation)
        if differences := [*([doubt] if doubt else []), *checked.differences]:
            try:
                aside = give_free_name(finished, unverified_names(self.path))
            except OSError as error:
                raise self._unwritable(error) from error
            of = "is not all of the source" if doubt else "differs from what was written"
            raise VerifyError(f"{aside} {of}: {'; '.join(differences)}")
        try:
            work.promise(finished)
        except OSError as error:
            raise self._unwritable(error) from error
        return Prepared(self, finished, joined, checked)

    def _unwritable(self, error: OSError) -> SinkError:
        return SinkError(f"{str(self.path)!r} cannot be written: {reason_of(error)}")


@dataclass(frozen=True)
class Outputs:
    """The files that are made of one stream of frames: all of them, or none."""

    format: PictureFormat
    """Of the frames to come."""
    files: tuple[FileOutput, ...]
    """The result, then where the same frames go, too, such as a viewing copy beside a master."""

    @property
    def first(self) -> FileOutput:
        """The result itself, beside which work folders lie."""
        return self.files[0]

    @property
    def choices(self) -> list[EncoderChoice]:
        """The encoder of each."""
        return [file.choice for file in self.files]

    @property
    def time_base(self) -> Fraction:
        """Of the frames to come."""
        return self.first.source.time_base

    def check(self) -> None:
        """Raise SinkError where a file cannot be written, as far as can be told before."""
        for file in self.files:
            file.check()


def plan_outputs(
    path: Path,
    source: StreamInfo,
    format: PictureFormat,
    options: EncodeOptions,
    also: AlsoOptions,
    *,
    trim: bool,
) -> Outputs:
    """Settle container and encoder of a result and, where one is wanted, of a second output.

    Args:
        path: of the result.
        source: whose other streams go along, and whose depth an output has unless another is asked for.
        format: of the frames to come, which are made as deep as the deepest output.
        options: of the result.
        also: the second output.
        trim: as `FileOutput` has it.

    Raises:
        ConfigError: a name, container, encoder and picture do not go together.
        SinkError: the encoder asked for does not work here.
    """
    wanted = [(path, options)]
    if also.also:
        second = path.with_name(path.stem + also.also) if also.is_ending else Path(also.also)
        if second.resolve() == path.resolve():
            raise ConfigError(f"also {str(second)!r} is the first output itself; give it another name")
        wanted.append((second, also.encode))
    depths = [wanted_format(each, format).bit_depth for _, each in wanted]
    format = replace(format, bit_depth=max(depths))
    files: list[FileOutput] = []
    for stream, (name, encode) in enumerate(wanted):
        container = output_container(name, encode)
        # With the source's own depth written out, as one output must not get the other one's.
        if encode.bit_depth == "auto" and (own := source.format.bit_depth) in (8, 10, 12):
            encode = replace(encode, bit_depth=own)
        choice = choose_encoder(encode, format, container, source.mastering)
        files.append(FileOutput(name, source, container, choice, stream, trim))
    return Outputs(format, tuple(files))


@dataclass(frozen=True)
class Prepared:
    """A finished and verified file that has not got its name yet."""

    output: FileOutput
    path: Path
    joined: Joined
    verification: Verification

    def publish(self, *, replace: bool) -> WriteReport:
        """Give it its name; `replace` says whether what bears it may lose it.

        Raises:
            SinkError: it cannot have it.
        """
        output, checked = self.output, self.verification
        num_bytes = self.path.stat().st_size
        try:
            give_name(self.path, output.path, replace=replace)
        except FileExistsError:
            raise SinkError(
                f"{output.path} has come to exist meanwhile; pass --overwrite to replace it"
            ) from None
        except OSError as error:
            raise output._unwritable(error) from error
        return WriteReport(
            path=output.path,
            container=output.container,
            encoder=output.choice.encoder,
            why=output.choice.why,
            num_frames=checked.num_frames,
            num_bytes=num_bytes,
            copied=self.joined.copied,
            converted=self.joined.converted,
            left_out=self.joined.left_out,
            notes=self._notes(),
            verification=checked,
        )

    def _notes(self) -> tuple[str, ...]:
        output, joined = self.output, self.joined
        notes = [*output.choice.notes, *joined.notes]
        notes += [f"converted: {name}" for name in joined.converted] + [
            f"left out: {name}" for name in joined.left_out
        ]
        later = self.verification.shift + max(Fraction(0), -joined.shift)
        if later and not output.trim:
            notes.append(
                f"all streams lie {float(later):.6f} s later: {output.container} has no negative times"
            )
        return tuple(notes)


def complete(
    outputs: Outputs, parts: Sequence[Encoded], work: WorkFolder, *, replace: bool = True, doubt: str = ""
) -> list[WriteReport]:
    """Join and verify all outputs, then give them their names: where one is not
    as it should be, or there is a `doubt` of them all, none gets its own.

    Args:
        outputs: the first is joined in `work`, on its own file system; the others in work folders of their own.
        parts: what was encoded.
        work: of the first.
        replace: whether what bears their names may lose them.
        doubt: what is wrong with all of them; empty where nothing is.

    Raises:
        VerifyError: a file differs from what was written; it stays as `NAME.unverified.EXT`.
        SinkError: joining failed.
    """
    with ExitStack() as stack:
        prepared = [outputs.first.prepare(parts, work, doubt)]
        for output in outputs.files[1:]:
            beside = stack.enter_context(WorkFolder(work_folder(output.path)))
            prepared.append(output.prepare(parts, beside, doubt))
        return _published(prepared, replace=replace)


def _published(prepared: Sequence[Prepared], *, replace: bool) -> list[WriteReport]:
    """Give all of them their names; where one cannot have its own, the others' are taken back that were free."""
    was_free = [not os.path.lexists(each.output.path) for each in prepared]
    reports: list[WriteReport] = []
    try:
        for each in prepared:
            reports.append(each.publish(replace=replace))  # noqa: PERF401 — how far it came counts
    except BaseException:
        for each in compress(prepared[: len(reports)], was_free):
            with suppress(OSError):
                os.replace(each.output.path, each.path)
        raise
    return reports
