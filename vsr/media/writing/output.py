"""A finished video file: joined from what encoders made, read back, and only then given its name."""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vsr.durable import WorkFolder, give_free_name, give_name, work_folder
from vsr.errors import SinkError, VerifyError, reason_of
from vsr.frames import PictureFormat, StreamInfo
from vsr.media.standard_streams import is_standard
from vsr.media.target import check_target, unverified_names
from vsr.media.writing.encode import Encoded
from vsr.media.writing.encoders import EncoderChoice
from vsr.media.writing.join import Joined, join
from vsr.media.writing.numbered_output import NumberedOutput, PreparedPictures
from vsr.media.writing.pipe_sink import PipeOutput
from vsr.media.writing.report import WriteReport, names_of
from vsr.media.writing.verify import Verification, verify


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

    def standing(self) -> list[Path]:
        """What is there under the output's name."""
        return [self.path] if os.path.lexists(self.path) else []

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
        if is_standard(self.source.path):
            lost = names_of(self.source, "a pipe is read once, for its pictures")
            joined = replace(joined, left_out=lost)
        checked = verify(finished, own, joined, format=kept, rotation=self.source.rotation)
        if differences := [*([doubt] if doubt else []), *checked.differences]:
            try:
                aside = give_free_name(finished, unverified_names(self.path))
            except OSError as error:
                raise self._unwritable(error) from error
            of = "is not all of the source" if doubt else "differs from what was written"
            raise VerifyError(f"{aside} {of}: {'; '.join(differences)}")
        return Prepared(self, finished, joined, checked)

    def _unwritable(self, error: OSError) -> SinkError:
        return SinkError(f"{str(self.path)!r} cannot be written: {reason_of(error)}")


@dataclass(frozen=True)
class Outputs:
    """The files that are made of one stream of frames: all of them, or none."""

    format: PictureFormat
    """Of the frames to come."""
    files: tuple[FileOutput | NumberedOutput, ...]
    """The result, then where the same frames go, too, such as a viewing copy beside a master."""
    pipe: PipeOutput | None = None
    """Standard output, instead of files."""

    @property
    def first(self) -> FileOutput | NumberedOutput:
        """The result itself, beside which work folders lie."""
        return self.files[0]

    @property
    def choices(self) -> list[EncoderChoice]:
        """The encoder of each."""
        return [each.choice for each in (self.pipe, *self.files) if each]

    @property
    def time_base(self) -> Fraction:
        """Of the frames to come."""
        return (self.pipe or self.first).source.time_base

    def on_gpu(self, number: int) -> "Outputs":
        """The same, with what a GPU encodes on this one."""
        return replace(
            self,
            files=tuple(replace(file, choice=file.choice.on_gpu(number)) for file in self.files),
            pipe=self.pipe and replace(self.pipe, choice=self.pipe.choice.on_gpu(number)),
        )

    def check(self) -> None:
        """Raise SinkError where a file cannot be written, as far as can be told before."""
        for file in self.files:
            file.check()


@dataclass(frozen=True)
class Prepared:
    """A finished and verified file that has not got its name yet."""

    output: FileOutput
    path: Path
    joined: Joined
    verification: Verification

    def names(self) -> list[tuple[Path, Path]]:
        """The name it has, and the one it will have."""
        return [(self.path, self.output.path)]

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
            left_out=self._left_out,
            notes=self._notes(),
            verification=checked,
        )

    @property
    def _left_out(self) -> tuple[str, ...]:
        lost = (f"{what}: {self.output.container} has no place for it" for what in self.verification.lost)
        return (*self.joined.left_out, *lost)

    def _notes(self) -> tuple[str, ...]:
        output, joined = self.output, self.joined
        notes = [*output.choice.notes, *joined.notes]
        notes += [f"converted: {name}" for name in joined.converted] + [
            f"left out: {name}" for name in self._left_out
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
        try:
            work.promise(*(file for each in prepared for file, _ in each.names()))
        except OSError as error:
            raise SinkError(f"{work.path} cannot be written: {reason_of(error)}") from error
        return _published(prepared, replace=replace)


def _published(prepared: Sequence[Prepared | PreparedPictures], *, replace: bool) -> list[WriteReport]:
    """Give all of them their names; where one cannot have its own, the others' are taken back that were free."""
    free = [names for each in prepared for names in each.names() if not os.path.lexists(names[1])]
    try:
        return [each.publish(replace=replace) for each in prepared]
    except BaseException:
        for made, target in free:
            if not made.exists():
                with suppress(OSError):
                    os.replace(target, made)
        raise
