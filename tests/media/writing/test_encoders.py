"""The choice of an encoder: what it is fed, how quality is mapped, what it says."""

from dataclasses import replace

import imageio_ffmpeg
import pytest
import torch
from support.encoding import HDR

from vsr.errors import ConfigError, SinkError
from vsr.frames import PictureFormat
from vsr.media.ffmpeg import find_ffmpeg, list_encoder_options, list_encoders
from vsr.media.writing.encoder_table import ENCODERS
from vsr.media.writing.encoders import choose_encoder
from vsr.options import EncodeOptions

SMALL = PictureFormat(64, 96)
GENERIC = {"b:v"}


def choose(encoder="auto", format=SMALL, container="mkv", mastering=None, **options):
    return choose_encoder(EncodeOptions(encoder=encoder, **options), format, container, mastering)


@pytest.mark.parametrize("name", ["h264_nvenc", "hevc_nvenc", "av1_nvenc"])
def test_every_nvenc_option_is_known_to_ffmpeg(name):
    known = list_encoder_options(imageio_ffmpeg.get_ffmpeg_exe(), name)
    encoder = ENCODERS[name]
    assert encoder.quality is not None
    assert encoder.preset is not None
    passed = {option for option, _ in encoder.options} | {encoder.quality[0], encoder.preset[0]}
    assert len(known) > 20
    assert passed - GENERIC <= known


@pytest.mark.parametrize(
    ("name", "option"), [("x264", "crf"), ("x265", "crf"), ("av1", "crf"), ("vp9", "crf")]
)
def test_quality_is_linear_and_higher_is_better(name, option):
    values = [float(dict(choose(name, quality=quality).arguments)[option]) for quality in (0, 50, 100)]
    assert values[0] > values[1] > values[2]
    assert values[1] == pytest.approx((values[0] + values[2]) / 2, abs=0.5)


def test_quality_75_of_x264_looks_like_the_source():
    assert dict(choose("x264").arguments)["crf"] == "18.5"


def test_auto_says_in_one_line_why_and_encodes_by_depth():
    eight, ten = choose(), choose(format=PictureFormat(64, 96, 10))
    assert eight.encoder in ("libx264", "h264_nvenc", "hevc_nvenc")
    assert ten.encoder in ("libx265", "hevc_nvenc")
    assert "\n" not in eight.why
    assert ("NVENC" in eight.why) == torch.cuda.is_available()  # who has no GPU need not hear of it


def test_auto_in_webm_follows_the_chroma():
    assert choose(container="webm").codec == "av1"
    assert choose(container="webm", format=PictureFormat(64, 96, 8, "yuv444")).codec == "vp9"
    assert choose(container="webm", format=PictureFormat(62, 96)).codec == "vp9"  # too small for SVT-AV1


def test_a_size_that_ffmpeg_refuses_is_found_before_any_frame():
    assert choose(format=PictureFormat(8192, 16384))
    with pytest.raises(ConfigError, match="99999x99999 is larger than"):
        choose(format=PictureFormat(99999, 99999))


def test_nvenc_without_a_driver_names_the_reason():
    try:
        choice = choose("nvenc")
    except SinkError as error:
        assert "NVENC cannot be used here" in str(error)  # noqa: PT017
    else:
        assert choice.encoder.endswith("_nvenc")


@pytest.mark.parametrize(
    ("encoder", "format", "fed"),
    [
        ("x264", PictureFormat(64, 96, 10, "yuv422"), "yuv422p10le"),
        ("x264", PictureFormat(64, 96, 12, "yuv420"), "yuv420p10le"),
        ("x265", PictureFormat(64, 96, 12, "yuv444"), "yuv444p12le"),
        ("x264", PictureFormat(64, 96, 8, "gray"), "gray"),
        ("x264", PictureFormat(64, 96, 8, "rgb"), "yuv444p"),
        ("x265", PictureFormat(64, 96, 16, "rgb"), "yuv444p12le"),
        ("ffv1", PictureFormat(64, 96, 8, "rgb"), "bgr0"),
        ("av1", PictureFormat(64, 96, 8, "yuv444"), "yuv420p"),
        ("av1", PictureFormat(64, 96, 8, "gray"), "yuv420p"),
        ("x264", PictureFormat(65, 97), "yuv444p"),
        ("vp9", PictureFormat(65, 97), "yuv420p"),
        ("hevc_nvenc", PictureFormat(64, 96, 10), "p010le"),
    ],
)
def test_nearest_pixel_format_is_fed_and_a_change_is_noted(encoder, format, fed):
    choice = choose(encoder, format)
    assert choice.pixel_format == fed
    changed = (choice.format.layout, choice.format.bit_depth) != (format.layout, format.bit_depth)
    assert bool(choice.notes) == changed


def test_an_odd_size_that_nothing_helps_is_refused():
    with pytest.raises(ConfigError, match="odd size 97x65"):
        choose("av1", PictureFormat(65, 97))


def test_unknown_encoder_lists_what_is_accepted():
    with pytest.raises(ConfigError, match="auto, nvenc, x264, x265, av1, vp9, ffv1"):
        choose("x266")


def test_wrong_container_names_the_right_ones():
    with pytest.raises(ConfigError, match="use mp4 or mov or mkv"):
        choose("x264", container="webm")


def test_any_encoder_of_ffmpeg_is_accepted():
    assert "mpeg4" in list_encoders(find_ffmpeg())
    assert choose("mpeg4").codec == "mpeg4"


def test_mastering_display_is_in_the_units_of_the_standard():
    ten = PictureFormat(64, 96, 10, matrix="bt2020nc", primaries="bt2020", transfer="smpte2084")
    params = dict(choose("x265", ten, mastering=HDR).arguments)["x265-params"]
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    assert display in params
    assert "max-cll=1000,400" in params
    assert "hdr10=1" in params
    av1 = dict(choose("av1", ten, mastering=HDR).arguments)["svtav1-params"]
    assert "G(0.26500,0.69000)" in av1
    assert "L(1000.0000,0.0001)" in av1


def test_a_preset_that_the_encoder_does_not_know_is_refused_before_anything_is_enhanced():
    with pytest.raises(ConfigError, match="no-such-preset"):
        choose_encoder(EncodeOptions(encoder="x264", preset="no-such-preset"), PictureFormat(64, 96), "mkv")


def test_of_several_gpus_the_one_that_enhances_encodes():
    choice = choose_encoder(EncodeOptions(encoder="x264"), PictureFormat(96, 128), "mp4")
    assert choice.on_gpu(1) == choice
    there = replace(choice, encoder="hevc_nvenc").on_gpu(1)
    assert there.arguments == (*choice.arguments, ("gpu", "1"))
    assert "gpu" in list_encoder_options(imageio_ffmpeg.get_ffmpeg_exe(), "hevc_nvenc")
