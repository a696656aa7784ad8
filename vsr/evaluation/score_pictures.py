"""Scoring candidates on test sets of pictures: each picture is a stream of one frame."""

from collections.abc import Iterable
from dataclasses import dataclass

from vsr.errors import ModelError
from vsr.evaluation.candidates import Candidate
from vsr.evaluation.test_sets import PicturePair
from vsr.quality import Judge, Score, Show, as_frame, mean_score, show_nobody, to_rgb


@dataclass(frozen=True, slots=True)
class PictureScore:
    """One picture of a test set."""

    name: str
    score: Score


@dataclass(frozen=True, slots=True)
class PicturesResult:
    """What one candidate made of a test set."""

    score: Score
    """Means over the pictures."""
    pictures: tuple[PictureScore, ...]


def score_set(
    candidate: Candidate, pairs: Iterable[PicturePair], judge: Judge, *, show: Show = show_nobody
) -> PicturesResult:
    """Enlarge each reduced picture and score it against its original.

    Raises:
        ModelError: a result has another size than its original.
    """
    scores: list[PictureScore] = []
    for pair in pairs:
        (enhanced,) = candidate.run([as_frame(pair.low)])
        picture = to_rgb(enhanced)
        if picture.shape != pair.high.shape:
            raise ModelError(
                f"{candidate.name} made {picture.shape[:2]} of {pair.name}, {pair.high.shape[:2]} expected"
            )
        scores.append(PictureScore(pair.name, judge.score(picture, pair.high)))
        show(pair.name, picture, pair.high, scores[-1].score)
    return PicturesResult(mean_score([item.score for item in scores]), tuple(scores))
