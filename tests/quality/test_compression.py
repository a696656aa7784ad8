"""From quantisers, bits and noise to what networks are told."""

from dataclasses import replace

import pytest

from vsr.quality.compression import Coding, compression_of, damage_of, realness, told_damage, visible_noise
from vsr.quality.noise_level import LookOfPictures

CLEAN = LookOfPictures(noise=1.0, least=1.0, change=None, detail=10.0, sharpness=0.6)


@pytest.mark.parametrize(
    ("coding", "compression"),
    [
        (Coding("mjpeg", jpeg_quality=40), 0.6),
        (Coding("mpeg4", quantiser=12), 0.5),
        (Coding("mpeg2video", quantiser=31), 1.0),
        (Coding("h264", quantiser=12), 0.0),
        (Coding("h264", quantiser=51), 0.9),
        (Coding("ffv1", key_bits=0.01), 0.0),
        (Coding("hevc"), 0.0),
    ],
)
def test_compression_is_on_the_scale_that_networks_learn(coding, compression):
    assert compression_of(coding, CLEAN) == pytest.approx(compression, abs=0.05)


def test_fewer_bits_for_the_same_detail_are_more_compression():
    found = [compression_of(Coding("hevc", key_bits=bits), CLEAN) for bits in (3, 1, 0.3, 0.1)]
    assert found == sorted(found)
    assert found[0] < 0.2 < 0.7 < found[-1]
    assert compression_of(Coding("hevc", key_bits=0.3), replace(CLEAN, detail=3.0)) < found[2]
    assert compression_of(Coding("av1", key_bits=0.3), CLEAN) < found[2]


def test_a_still_scene_in_few_bits_is_clean_and_grain_in_many_is_not():
    assert realness(Coding("h264", quantiser=18), CLEAN, 0.2) <= 1
    assert realness(Coding("h264", quantiser=30), CLEAN, 0.5) > 1
    grainy = LookOfPictures(noise=8.0, least=6.0, change=8.0, detail=10.0, sharpness=0.6)
    assert realness(Coding("prores"), grainy, 0.0) > 1


def test_each_way_of_storing_has_its_own_limit():
    assert realness(Coding("mjpeg", jpeg_quality=75), CLEAN, 0.25) > 1
    assert realness(Coding("mjpeg", jpeg_quality=92), CLEAN, 0.08) <= 1
    assert realness(Coding("mpeg4", quantiser=8), CLEAN, 8 / 24) > 1
    assert realness(Coding("h264", quantiser=22), CLEAN, 8 / 24) <= 1


def test_what_stands_still_is_no_noise_unless_a_codec_repeats_it():
    still = LookOfPictures(noise=6.0, least=5.0, change=1.0, detail=10.0, sharpness=0.6)
    assert visible_noise(still, 0.1) == 1
    assert visible_noise(still, 0.5) == 6


def test_detail_that_compression_took_counts_as_noise_and_half_of_it_is_told():
    assert damage_of(CLEAN, 0).noise == told_damage(CLEAN, 0).noise == 1
    lost = damage_of(CLEAN, 0.6)
    assert lost.compression == 0.6
    assert 3 < lost.noise < 6
    assert told_damage(CLEAN, 0.6).noise ** 2 == pytest.approx(1 + (lost.noise**2 - 1) / 4)


def test_blocks_in_a_file_without_loss_tell_of_the_jpeg_that_it_was():
    blocks = replace(CLEAN, blocking=0.31)
    assert compression_of(Coding("png"), blocks) == pytest.approx(0.5, abs=0.03)
    assert realness(Coding("png"), blocks, 0.25) > 1
    assert compression_of(Coding("png"), replace(CLEAN, blocking=0.15)) == 0
    assert compression_of(Coding("mjpeg", jpeg_quality=95), blocks) == 0.05


def test_what_only_some_lights_show_is_texture_unless_a_codec_flattened_the_others():
    leaves = replace(CLEAN, noise=7.0, least=0.2)
    assert visible_noise(leaves, 0.0) == 1.5
    assert visible_noise(leaves, 0.5) == 7
