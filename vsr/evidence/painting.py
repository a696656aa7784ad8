"""Which models may make things up: those that are known to paint, and those that nothing is known of."""

from collections.abc import Sequence

from vsr.errors import ConfigError
from vsr.models import ModelSpec, all_models


def may_paint(specs: Sequence[ModelSpec]) -> list[str]:
    """Say of each model that may show what is not in the source why that is."""
    known = {facts.sha256 for facts in all_models() if facts.sha256}
    reasons: list[str] = []
    for spec in specs:
        if spec.generative:
            reasons.append(f"{spec.name} is generative: it paints detail that is not in the source")
        elif not set(filter(None, spec.sha256.split("+"))) <= known:
            reasons.append(
                f"{spec.name} is in no catalogue: nobody here knows what it paints, or learnt from"
            )
    return reasons


def refuse_painting(specs: Sequence[ModelSpec], *, allowed: bool) -> list[str]:
    """Return what `may_paint` says, where that is allowed.

    Raises:
        ConfigError: it is not.
    """
    reasons = may_paint(specs)
    if reasons and not allowed:
        raise ConfigError(
            f"no evidence is made by it: {'; '.join(reasons)}; --allow-generative makes it, and marks it"
        )
    return reasons
