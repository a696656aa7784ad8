"""A clock that begins anew on the way means the same in segments, after an interruption and in a part of the file."""

import pytest
from support.clips import ClipOptions, write_clip
from support.joined_files import join_files, remux
from support.long_jobs import contents, enhance, stopped


@pytest.fixture(scope="module", params=[".ts", ".flv", "numbers.ts"])
def joined(request, tmp_path_factory):
    """Three recordings of 0.8 s behind each other; in the last kind their streams have other numbers, too."""
    folder, kind = tmp_path_factory.mktemp("joined"), request.param[-4:].removeprefix("s")
    pieces = []
    for n in range(3):
        options = {"bf": "2", "preset": "ultrafast", "crf": "10"}
        numbers = tuple(range(20 * n, 20 * n + 20))
        clip = ClipOptions(
            num_frames=20, numbers=numbers, size=(32, 48), gop=8, codec_options=options, audio=True
        )
        more = ("-mpegts_start_pid", hex(256 + 256 * n)) if request.param == "numbers.ts" else ()
        pieces.append(remux(write_clip(folder / f"{n}.mp4", clip), folder / f"{n}{kind}", *more))
    return join_files(pieces, folder / f"joined{kind}")


def test_segments_and_parts_hold_what_a_run_in_one_piece_does(joined, tmp_path, capfd):
    whole, out, part, parts = (tmp_path / f"{name}.mkv" for name in ("whole", "out", "part", "parts"))
    assert enhance(joined, whole, "--encoder", "ffv1", "--segment", "off") == 0
    frames, sound = contents(whole)
    assert len(frames) == 60
    assert float(frames[-1][0] - frames[0][0]) == pytest.approx(2.36, abs=0.002)
    assert abs(float(sound[-1][0] - frames[-1][0])) < 0.1
    stopped(joined, out, "--encoder", "ffv1", segments=2)
    assert enhance(joined, out, "--encoder", "ffv1") == 0
    assert contents(out) == (frames, sound)
    span = ("--encoder", "ffv1", "--start", "0.6", "--end", "2.2")
    assert enhance(joined, part, *span, "--segment", "off") == 0
    assert enhance(joined, parts, *span, "--segment", "0.4") == 0
    assert contents(parts) == contents(part)
    assert [image for _, image in contents(part)[0]] == [image for _, image in frames[15:55]]
