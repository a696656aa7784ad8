"""Regions of a picture: where they lie, and what is refused in which words."""

import pytest

from vsr.errors import ConfigError
from vsr.frames import PictureFormat
from vsr.live.camera_file import read_options
from vsr.live.region_options import RegionOptions

HD = PictureFormat(720, 1280)


@pytest.mark.parametrize(
    ("asked", "height_width", "placed", "exact"),
    [
        ((412, 230, 96, 48), (720, 1280), "96x48 at 412, 230", True),
        ((411, 231, 96, 48), (720, 1280), "98x50 at 410, 230", False),  # nothing that was asked for is lost
        ((0.25, 0.5, 0.25, 0.25), (720, 1280), "320x180 at 320, 360", True),
        ((0.25, 0.5, 0.25, 0.25), (360, 640), "160x90 at 160, 180", True),
        ((0, 0, 1, 1), (721, 1281), "1281x721 at 0, 0", True),
        ((1200, 700, 80, 20), (720, 1280), "80x20 at 1200, 700", True),
    ],
)
def test_edges_are_moved_outward_to_even_samples(asked, height_width, placed, exact):
    region = RegionOptions("plate", *asked)
    rectangle = region.within(PictureFormat(*height_width))
    assert str(rectangle) == placed
    assert region.is_exact(rectangle) == exact


@pytest.mark.parametrize("asked", [(1201, 0, 80, 20), (0, 701, 80, 20), (1280, 0, 4, 4), (3000, 3000, 4, 4)])
def test_what_lies_outside_the_picture_is_refused_in_a_line(asked):
    region = RegionOptions("plate", *asked)
    with pytest.raises(
        ConfigError, match=r"^region .* does not lie within the picture of 1280x720; give one"
    ):
        region.within(HD)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 0\ny = 0\nwidth = 0\nheight = 9", "plate: width 0 is out of range; more than 0 is accepted"),
        ("x = -1\ny = 0\nwidth = 9\nheight = 9", "plate: x -1 is out of range; 0 or more is accepted"),
        ("x = 0.5\ny = 0\nwidth = 0.6\nheight = 1", r"plate: x \+ width and y \+ height are more than 1"),
        ("x = 0\ny = 0\nwidth = 9\nheight = 9\nscale = 5", "plate.scale .* 2 or 3 or 4 is accepted"),
        ("x = 0\ny = 0\nwidth = 9", "plate.height is missing"),
        (
            "x = 0\ny = 0\nwidth = 9\nheight = 9\noutputs = [{kind = 'hls', target = 'a'}]",
            "camera 'door-plate' and camera 'door' have the same target",
        ),
    ],
)
def test_a_region_that_cannot_be_is_refused_in_a_line(tmp_path, text, says):
    path = tmp_path / "cameras.toml"
    camera = '[[cameras]]\nname = "door"\nurl = "a.mp4"\noutputs = [{kind = "hls", target = "a"}]\n'
    path.write_text(f'{camera}[[cameras.regions]]\nname = "plate"\n{text}\n')
    with pytest.raises(ConfigError, match=says):
        read_options(path)


def test_a_region_may_not_be_named_as_a_camera_is(tmp_path):
    path = tmp_path / "cameras.toml"
    region = 'regions = [{name = "plate", x = 0, y = 0, width = 1, height = 1}]\n'
    path.write_text(
        f'[[cameras]]\nname = "door"\nurl = "a"\n{region}[[cameras]]\nname = "door-plate"\nurl = "b"\n'
    )
    with pytest.raises(ConfigError, match="two cameras are named 'door-plate'"):
        read_options(path)
