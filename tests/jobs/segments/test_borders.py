"""Where segments are cut, what a run is shown that enters at a border, and what journals and scenes keep."""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vsr.color_correct import Adaptation, correct_colors
from vsr.frames import Frame, PictureFormat
from vsr.jobs.segments.border import Border
from vsr.jobs.segments.borders import WARM_UP, Cutting, Reach, ReadsDifferentlyError, Stretch
from vsr.jobs.segments.journal_records import Segment, mark_of, read_records
from vsr.media.reading.source import ListSource
from vsr.models.networks.plain import PlainNet
from vsr.models.spec import Context, Model, ModelSpec
from vsr.pipeline import PipelineOptions
from vsr.scenes import Scene, mark_scene_cuts

FORMAT = PictureFormat(36, 64, matrix="bt709")


def pictures(*lengths: int, seed: int = 0) -> list[Frame]:
    """Scenes of so many frames, 25 a second: a texture each that moves a little."""
    chance, frames = np.random.default_rng(seed), []
    for length in lengths:
        texture = np.kron(chance.integers(30, 220, (9, 16 + length // 8 + 1)), np.ones((4, 4))).astype(
            np.uint8
        )
        for n in range(length):
            luma = np.ascontiguousarray(texture[:, n // 2 : n // 2 + 64])
            chroma = [np.full((18, 32), value, np.uint8) for value in (120 + n % 3, 140)]
            frames.append(
                Frame((luma, *chroma), FORMAT, pts=len(frames), time_base=Fraction(1, 25), duration=1)
            )
    return frames


def models(*contexts: Context) -> list[Model]:
    return [
        Model(ModelSpec("m", 1, context=context), PlainNet(channels=2, depth=1, scale=1))
        for context in contexts
    ]


def stretch(frames: Sequence[Frame], seconds: str, reach: Reach | None = None, **options: object) -> Stretch:
    cutting = Cutting(Fraction(seconds), reach or Reach.of([]), PipelineOptions(color_correct=True))
    info = ListSource(frames).info
    return Stretch(
        info, lambda pts: ListSource([f for f in frames if pts is None or f.pts >= pts]), cutting, **options
    )


def borders(frames: Sequence[Frame], seconds: str, reach: Reach | None = None) -> list[Border]:
    cut = stretch(frames, seconds, reach)
    for _ in cut.frames():
        pass
    return list(cut.borders.values())


def test_segments_are_cut_at_whole_multiples_of_their_length():
    assert [border.pts for border in borders(pictures(110), "1")] == [25, 50, 75, 100]


@pytest.mark.parametrize(
    ("first", "expected"), [(20, [20, 50]), (18, [25, 50]), (24, [24, 50]), (26, [25, 50])]
)
def test_a_scene_cut_in_the_last_quarter_ends_a_segment(first, expected):
    assert [border.index for border in borders(pictures(first, 60 - first), "1")] == expected


def test_after_a_gap_of_hours_comes_one_border():
    frames = pictures(60)
    frames = [*frames[:30], *(replace(frame, pts=frame.pts + 100_000) for frame in frames[30:])]
    assert [border.index for border in borders(frames, "1")] == [25, 30, 50]


def test_a_run_that_enters_gives_the_same_frames_and_finds_the_same_borders():
    frames = pictures(40, 47, 90, seed=5)
    reach = Reach(before=6, after=2, step=1)
    whole = stretch(frames, "1", reach)
    fed = list(whole.frames())
    for border in whole.borders.values():
        restored = Border.restored(json.loads(json.dumps(border.saved())))
        later = stretch(frames, "1", reach, begin=restored)
        for mine, theirs in zip(later.frames(), fed[restored.entry.index :], strict=True):
            assert (mine.pts, mine.reset) == (theirs.pts, theirs.reset)
            assert all(np.array_equal(a, b) for a, b in zip(mine.planes, theirs.planes, strict=True))
        assert later.borders == {b.pts: b for b in whole.borders.values() if b.number > border.number}


def test_a_stretch_in_the_middle_ends_with_the_frames_that_networks_look_ahead_to():
    whole = stretch(pictures(110), "1", Reach(before=3, after=4, step=1))
    list(whole.frames())
    found = list(whole.borders.values())
    middle = stretch(pictures(110), "1", Reach(before=3, after=4, step=1), begin=found[0], end=found[1])
    assert [frame.pts for frame in middle.frames()] == list(range(22, 54))


def test_frames_that_are_not_what_they_were_are_noticed():
    border = borders(pictures(60), "1")[0]
    with pytest.raises(ReadsDifferentlyError):
        list(stretch(pictures(60, seed=1), "1", begin=border).frames())


@pytest.mark.parametrize(
    ("contexts", "index", "scene", "expected"),
    [
        ([Context()], 100, 0, 2),
        ([Context()], 1, 0, 1),
        ([Context(before=2, after=2), Context(before=1)], 100, 0, 3),
        ([Context(before=2, after=2), Context(before=1)], 100, 100, 2),
        ([Context(before=1, after=1, stateful=True)], 500, 0, WARM_UP + 1),
        ([Context(before=1, after=1, stateful=True)], 500, 480, 20),
        ([Context(emit=5)], 100, 0, 5),
        ([Context(emit=5)], 103, 0, 8),
    ],
)
def test_a_run_enters_as_early_as_its_networks_need(contexts, index, scene, expected):
    assert Reach.of(models(*contexts)).warm_up(index, scene) == expected


def test_what_scenes_and_colours_remember_outlives_json():
    frames = pictures(30, 30)
    scenes: dict[int, Scene] = {}
    colors: dict[int, Adaptation] = {}
    marked = correct_colors(mark_scene_cuts(iter(frames[:33]), scenes), colors)
    deque(marked, maxlen=0)
    again = json.loads(json.dumps([scenes[0].saved(), colors[0].saved()]))
    later = [{0: Scene.restored(again[0])}, {0: Adaptation.restored(again[1])}]

    def rest(scenes: dict[int, Scene], colors: dict[int, Adaptation]) -> Iterator[tuple[bool, bytes]]:
        for frame in correct_colors(mark_scene_cuts(iter(frames[33:]), scenes), colors):
            yield frame.reset, frame.planes[0].tobytes()

    assert list(rest(*later)) == list(rest(scenes, colors))


def test_nothing_after_a_broken_line_of_a_journal_counts(tmp_path):
    head = json.dumps({"journal": 1, "identity": {"a": "b"}, "told": {}})
    segment = {"number": 0, "file": "f", "num_bytes": 1, "sha256": "", "pictures": 0, "first": 5, "last": 9}
    line = json.dumps(segment | {"num_frames": 3, "steps": [[2, 2]], "durations": [[2, 3]], "next": None})
    lines = [f"{text}#{mark_of(text)}\n" for text in (head, line, line.replace('"number": 0', '"number": 1'))]
    (tmp_path / "journal").write_text(
        "".join([lines[0], lines[1].replace('"first": 5', '"first": 6'), lines[2]])
    )
    found = read_records(tmp_path)
    assert found is not None
    assert (found.segments, found.num_bytes) == ({}, len(lines[0]))


def test_times_of_a_segment_outlive_the_journal(tmp_path):
    segment = Segment("", "", 0, "", 0, 5, 19, 4, [(2, 2), (10, 1)], [(2, 2), (10, 1), (3, 1)], None)  # type: ignore[arg-type]
    encoded = segment.encoded(tmp_path, Fraction(1, 25))
    assert (list(encoded.pts), list(encoded.durations)) == ([5, 7, 9, 19], [2, 2, 10, 3])
