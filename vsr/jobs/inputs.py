"""From what a user names to pairs of input and output path. Opens files
only to tell pictures from the rest."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsr.durable import file_id, place_of, real_path
from vsr.errors import ConfigError, SourceError, redact
from vsr.jobs.folders import matching, media_of, walk
from vsr.media import (
    CONTAINERS,
    PICTURES,
    READABLE,
    STANDARD,
    STILLS,
    address_of,
    by_number,
    file_name,
    is_address,
    is_image,
    is_numbered,
    is_standard,
    numbered_files,
)
from vsr.options import AlsoOptions, ModelOptions

_NOT_VIDEO = STILLS - {".gif", ".apng"}


@dataclass(frozen=True, slots=True)
class Job:
    """One file to enhance."""

    path: Path
    target: Path
    is_image: bool
    """A picture by itself."""
    creates_folder: bool = False
    """The target's folder was named as a folder, or repeats the input's, and
    is made where it does not exist."""
    pictures: tuple[tuple[int, Path], ...] = ()
    """Numbers and files, ascending, where the frames are numbered pictures; `path` is what names them."""
    clash: str = ""
    """Why it cannot be done beside the others: a result would take the place of another one or of an input."""

    @property
    def named(self) -> str:
        """What is read, as the user has it but for what is secret."""
        return redact(address_of(self.path)) if is_address(self.path) else str(self.path)

    @property
    def place(self) -> str:
        """What is read, as it can be found again."""
        far = is_address(self.path) or is_standard(self.path)
        return self.named if far else str(self.path.absolute())

    @property
    def sources(self) -> tuple[Path, ...]:
        """All files that are read."""
        return tuple(picture for _, picture in self.pictures) or (self.path,)


def find_jobs(
    inputs: Sequence[str],
    *,
    out: str = "",
    suffix: str = "_x2",
    container: str = "auto",
    as_video: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Job]:
    """List the files that `inputs` (files, folders, globs) mean, and where each result goes.

    Without `out` a file's result lies beside it as `NAME_x2.EXT`, a folder's results in a folder `NAME_x2`
    beside it. With `out` naming a file (one input file) it is that file; else it is a folder, in which names
    are kept. A name with a number, such as `frames/%05d.png`, means one video; with `as_video` so do all pictures
    that are named, together; what is named twice is listed once. `tell` is told of that, of folders that cannot be
    read, and of what is left out in them.

    Raises:
        SourceError: an input does not exist, or a folder or glob holds nothing that can be enhanced.
        ConfigError: `out` names one file, and there are several inputs; or by its name a folder, and is none.
    """
    out = STANDARD if is_standard(out) else out
    found = [each for text in inputs for each in _expand(text, tell, Path(out) if out else None)]
    if as_video:
        found = [_one_video(inputs, found)]
    if _means_folder(out) and os.path.lexists(out) and not os.path.isdir(out):
        raise ConfigError(
            f"output {out} is no folder; name another one, or a file with an ending such as .mp4"
        )
    into_file = bool(out) and not _means_folder(out) and len(found) == 1 and found[0].root is None
    if out and not into_file and not _means_folder(out):
        raise ConfigError(f"output {out} names one file, but there are {len(found)} inputs; name a folder")
    jobs = [_job(item, Path(out) if out else None, into_file, suffix, container) for item in found]
    return marked_clashes(_each_once(jobs, tell))


def _each_once(jobs: Sequence[Job], tell: Callable[[str], None]) -> list[Job]:
    """What is named twice, as two patterns may do, is done once."""
    once: dict[object, Job] = {}
    for job in jobs:
        read = job.named if is_address(job.path) or is_standard(job.path) else place_of(job.path)
        if once.setdefault((read, place_of(job.target)), job) is not job:
            tell(f"note: {job.named} is named more than once and enhanced once")
    return list(once.values())


def check_also(jobs: Sequence[Job], also: AlsoOptions) -> None:
    """Raise ConfigError where one second output is named for several videos."""
    num_videos = sum(not job.is_image for job in jobs)
    if also.also and not also.is_ending and num_videos > 1:
        raise ConfigError(
            f"also {also.also} names one file, but there are {num_videos} videos; give an ending such as _view.mp4"
        )


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    root: Path | None
    """The folder it was found in, whose structure the results repeat."""
    pictures: tuple[tuple[int, Path], ...] = ()


def _one_video(inputs: Sequence[str], found: Sequence[_Found]) -> _Found:
    """All pictures that are named, as one video."""
    if len(found) == 1 and found[0].pictures:
        return found[0]
    files = by_number(each.path for each in found)
    if other := next((path for path in files.values() if path.suffix.lower() not in STILLS), None):
        raise ConfigError(f"{other} is no picture by its ending; as-video takes numbered pictures")
    folders = {path.parent for path in files.values()}
    name = Path(inputs[0]) if len(inputs) == 1 else folders.pop() if len(folders) == 1 else Path("pictures")
    return _Found(name, None, tuple(files.items()))


def _expand(text: str, tell: Callable[[str], None], out: Path | None) -> Iterator[_Found]:
    path = Path(text)
    if is_standard(path):
        yield _Found(Path(STANDARD), None)
    elif is_address(text):
        yield _Found(path, None)
    elif is_numbered(path) and not os.path.exists(text):
        yield _Found(path, None, tuple(numbered_files(path).items()))
    elif os.path.isdir(text):
        inside = sorted(media_of(walk(path, [out] if out else [], tell=tell), tell))
        if not inside:
            raise SourceError(f"folder {text} holds no video and no picture ({', '.join(sorted(READABLE))})")
        yield from (_Found(p, path) for p in inside)
    elif os.path.exists(text):  # which takes a name that is too long for one that is not there
        yield _Found(path, None)
    else:
        files = matching(text)
        if not files:
            raise SourceError(
                f"{text} does not exist; a file, a folder or a pattern such as 'tapes/*.avi' is expected"
            )
        yield from (_Found(match, None) for match in files)


def _means_folder(out: str) -> bool:
    return not is_standard(out) and (out.endswith(("/", "\\")) or os.path.isdir(out) or not Path(out).suffix)


def _job(item: _Found, out: Path | None, into_file: bool, suffix: str, container: str) -> Job:
    if item.pictures or is_numbered(item.path):
        return _numbered_job(item, out, into_file, suffix, container)
    image = is_image(item.path)
    if is_standard(item.path) and not into_file:
        raise ConfigError("standard input has no name; name the result with -o, or -o - for standard output")
    if is_address(item.path) and Path(file_name(item.path)).suffix.lower() in _NOT_VIDEO:
        raise ConfigError(
            f"{address_of(item.path)} is a picture by its name; addresses of videos are accepted, and pictures as files"
        )
    if out is not None and into_file:
        return Job(item.path, out, image, creates_folder=is_numbered(out))
    if is_address(item.path):
        path, alone = Path(file_name(item.path)), out is None
        extension = extension_of(path, container, is_image=False)
        name = f"{path.stem}{suffix if alone else ''}{extension}"
        return Job(item.path, (out or Path()) / name, is_image=False, creates_folder=not alone)
    extension = extension_of(item.path, container, is_image=image)
    if out is None and item.root is None:
        return Job(item.path, item.path.with_name(f"{item.path.stem}{suffix}{extension}"), image)
    if out is None:
        assert item.root is not None
        root = real_path(item.root)
        out = root.with_name(f"{root.name}{suffix}")
    inside = item.path.relative_to(item.root).parent if item.root else Path()
    return Job(item.path, out / inside / f"{item.path.stem}{extension}", image, creates_folder=True)


def _numbered_job(item: _Found, out: Path | None, into_file: bool, suffix: str, container: str) -> Job:
    """Frames of a folder become a folder of frames beside it, or what is named: a video, or numbered pictures."""
    if out is not None and into_file:
        return Job(item.path, out, is_image=False, creates_folder=is_numbered(out), pictures=item.pictures)
    folder = real_path(item.path if item.path.is_dir() else item.path.parent)
    if container != "auto":
        name = f"{folder.name}{'' if out else suffix}.{container}"
        target = (out or folder.parent) / name
    else:
        pattern = item.path if is_numbered(item.path) else Path(f"%05d{item.pictures[0][1].suffix}")
        if pattern.suffix.lower() not in PICTURES:
            pattern = pattern.with_suffix(".png")
        target = (out or folder.with_name(f"{folder.name}{suffix}")) / pattern.name
    return Job(item.path, target, is_image=False, creates_folder=True, pictures=item.pictures)


def suffix_of(models: ModelOptions) -> str:
    """What a result's name has that the source's has not, such as `_x2`."""
    if models.size or models.height:
        return f"_{models.size or f'{models.height}p'}"
    if models.scale == "auto" and models.model:
        return "_enhanced"
    return f"_x{2 if models.scale == 'auto' else models.scale}"


def extension_of(path: Path, container: str, *, is_image: bool) -> str:
    """Return the suffix of a file's result: its own where such files are written."""
    if is_image:
        return path.suffix if path.suffix.lower() in PICTURES else ".png"
    if container != "auto":
        return f".{container}"
    return path.suffix if path.suffix.lower() in CONTAINERS else ".mkv"


def marked_clashes(jobs: Sequence[Job], *, ending: str = "", otherwise: str = "") -> list[Job]:
    """Mark the jobs whose results would take the place of each other's or of an input; the others can be done.

    Args:
        jobs: all of a run.
        ending: of each video's second output; empty for none.
        otherwise: what else can be done about it, for the message.
    """
    sources = {file_id(path) for job in jobs for path in job.sources} - {None}
    takers = defaultdict[object, list[Job]](list)
    for job in jobs:
        for target in targets_of(job, ending):
            takers[place_of(target)].append(job)

    def clash(job: Job) -> str:
        for target in targets_of(job, ending):
            if file_id(target) in sources:
                return f"{target} is an input itself; choose another output with -o"
            for other in takers[place_of(target)]:
                if other is not job:
                    both = f"{job.named} and {other.named} would both become {target}"
                    return f"{both}; enhance them separately{otherwise}"
        return ""

    return [replace(job, clash=clash(job)) for job in jobs]


def targets_of(job: Job, ending: str) -> list[Path]:
    """Where a job's result goes, and its second output where there is to be one."""
    second = [job.target.with_name(job.target.stem + ending)] if ending and not job.is_image else []
    return [job.target, *second]
