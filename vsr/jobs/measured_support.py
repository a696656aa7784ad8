"""What a source confirms of a result that has just been made of it, or lies there since then."""

from collections.abc import Generator
from contextlib import closing

from vsr.errors import ConfigError
from vsr.frames import Frame
from vsr.jobs.assemble import open_source, pipeline_options
from vsr.jobs.plan import Plan
from vsr.jobs.source_quality import shown_damage
from vsr.media import ImageSource, VideoSource, is_numbered
from vsr.models import find_model
from vsr.pipeline import prepared
from vsr.prefetch import closed_after
from vsr.pulse import at_work, beat
from vsr.support import (
    ANY,
    Doubters,
    Figures,
    Measuring,
    SupportTask,
    calibration_of,
    hatched,
    support_stream,
)


def check_support(plan: Plan) -> None:
    """Raises ConfigError: the plan's source or result cannot be read again."""
    if plan.is_piped or is_numbered(plan.job.target):
        raise ConfigError(
            "support reads the source and one file of results once more; name files, and no pipe"
        )


def support_of_plan(plan: Plan, task: SupportTask, *, full: bool) -> Figures:
    """Measure what a plan's source confirms of its finished result, and write what is wanted of it.

    Args:
        plan: as it was carried out.
        task: what is wanted.
        full: ask the plan's networks again, too.

    Raises:
        VsrError: as `support_stream`, and as reading both says.
    """
    with at_work():
        damage = shown_damage(plan.source, plan.options.read)
        engine = plan.options.engine
        asked = Doubters(plan.models, engine, compression=damage.compression).disagreement if full else None
    with closing(_pairs(plan)) as pairs:
        return support_stream(pairs, plan.frames, task, calibration_of(_network(plan)), damage, asked)


def drawn_support(plan: Plan, result: Frame) -> Frame:
    """A picture as a plan has made it, with lines over what its source does not support."""
    damage = shown_damage(plan.source, plan.options.read)
    table = calibration_of(_network(plan)).table_for(damage, "quick")
    seen = prepared(open_source(plan).frames(), pipeline_options(plan), scenes=False)
    with closed_after(seen):
        (measured,) = Measuring(table, damage).run([(next(iter(seen)), result)])
    return hatched(measured)


def _network(plan: Plan) -> str:
    """The name under which a calibration may lie."""
    names = [model.spec.name for model in plan.models]
    return names[0] if len(names) == 1 and find_model(names[0]) else ANY


def _pairs(plan: Plan) -> Generator[tuple[Frame, Frame], None, None]:
    """Frames as the networks saw them, and as they lie in the result."""
    result = ImageSource(plan.job.target) if plan.outputs is None else VideoSource(plan.job.target)
    frames, made = prepared(open_source(plan).frames(), pipeline_options(plan), scenes=False), result.frames()
    with closed_after(frames), closed_after(made):
        for pair in zip(frames, made, strict=False):
            beat()
            yield pair
