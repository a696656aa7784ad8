"""What every damaged picture file must end in."""

from pathlib import Path

from vsr.errors import SourceError
from vsr.media import ImageSource


def assert_picture_or_one_line(path: Path) -> None:
    """A file is read as one frame of the size that it claims, or refused in one line."""
    try:
        (frame,) = ImageSource(path).frames()
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert frame.planes[0].shape == (frame.format.height, frame.format.width)
