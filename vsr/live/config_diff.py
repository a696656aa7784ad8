"""What differs between two configurations: which cameras begin, end or begin anew. Pure."""

from dataclasses import dataclass

from vsr.live.options import CameraOptions, LiveOptions


@dataclass(frozen=True)
class ConfigChanges:
    """From one configuration to the next, by names of cameras."""

    begun: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    """Their options have changed."""
    kept: tuple[str, ...] = ()
    """They go on without a gap."""
    engine: bool = False
    """Models, scale or device have changed: what all cameras share is made anew while they go on."""
    latency: bool = False
    """The target has changed."""

    def __str__(self) -> str:
        words = {"begun": self.begun, "ended": self.ended, "restarted": self.restarted}
        parts = [f"{word}: {', '.join(names)}" for word, names in words.items() if names]
        parts += ["other models or device"] if self.engine else []
        parts += ["another latency"] if self.latency else []
        return "; ".join([*parts, f"{len(self.kept)} unchanged"])


def changes_between(old: LiveOptions, new: LiveOptions) -> ConfigChanges:
    """Say what must be done to come from `old` to `new`. A camera is told by its name."""
    before, after = _by_name(old), _by_name(new)
    common = [name for name in after if name in before]
    restarted = tuple(name for name in common if before[name] != after[name])
    return ConfigChanges(
        begun=tuple(name for name in after if name not in before),
        ended=tuple(name for name in before if name not in after),
        restarted=restarted,
        kept=tuple(name for name in common if name not in restarted),
        engine=_enhancing(old) != _enhancing(new),
        latency=old.latency_ms != new.latency_ms,
    )


def _by_name(options: LiveOptions) -> dict[str, CameraOptions]:
    return {camera.name: camera for camera in options.cameras}


def _enhancing(options: LiveOptions) -> tuple[object, ...]:
    asks = any(wish.asked is not None for wish in options.wishes)
    return options.models, options.scales, options.engine, asks
