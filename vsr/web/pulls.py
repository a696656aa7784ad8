"""Models of others that are being fetched for this server, and how far each is."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from vsr.errors import VsrError, one_line
from vsr.models import ModelFacts, find_model, pull, source_of
from vsr.web.problems import ProblemError

_TELL_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class PullView:
    """How far a model is on its way here."""

    name: str
    state: Literal["missing", "running", "installed", "failed"]
    bytes: int
    """That have come."""
    total: int
    """That it has."""
    error: str
    """One line on what went wrong; empty where nothing did."""


class Pulls:
    """What is fetched; the file goes on where it was cut off, and gets its name when its hash is right."""

    def __init__(self, changed: Callable[[], None]):
        """`changed` is called, by any thread, when there is more to tell."""
        self._changed, self._hold = changed, threading.Lock()
        self._known: dict[str, PullView] = {}

    def begin(self, name: str) -> PullView:
        """Fetch a model that is not here and not on its way.

        Raises:
            ProblemError: it is not known, one of our own, or to be had by hand alone.
        """
        facts = _facts(name)
        with self._hold:
            there = self.state(name)
            if there.state in ("running", "installed"):
                return there
            if not source_of(facts):
                raise ProblemError(422, f"{name} has no address of its own: {facts.how}")
            self._known[name] = replace(there, state="running", error="")
        threading.Thread(target=self._run, args=(facts,), name="vsr-pull", daemon=True).start()
        return self.state(name)

    def state(self, name: str) -> PullView:
        """How far a model is.

        Raises:
            ProblemError: it is not known, or one of our own.
        """
        facts, known = _facts(name), self._known.get(name)
        total = facts.num_bytes or 0
        if known is not None and known.state == "running":
            return known
        if facts.path.is_file():
            return PullView(name, "installed", total, total, "")
        if known is not None and known.state == "failed":
            return known
        return PullView(name, "missing", 0, total, "")

    def _run(self, facts: ModelFacts) -> None:
        told_s = 0.0

        def heard(num_bytes: int) -> None:
            nonlocal told_s
            self._known[facts.name] = replace(self._known[facts.name], bytes=num_bytes)
            if time.monotonic() - told_s > _TELL_EVERY_S:
                told_s = time.monotonic()
                self._changed()

        try:
            pull(facts, tell=lambda _: None, progress=heard)
            ended = replace(self._known[facts.name], state="installed")
        except VsrError as error:
            ended = replace(self._known[facts.name], state="failed", error=str(error))
        except Exception as error:
            line = f"unexpected {type(error).__name__}: {one_line(error)}"
            ended = replace(self._known[facts.name], state="failed", error=line)
        self._known[facts.name] = ended
        self._changed()


def _facts(name: str) -> ModelFacts:
    facts = find_model(name)
    if facts is None or facts.tier or not facts.sha256:
        raise ProblemError(
            404, f"there is no model {name[:60]!r} to fetch; `vsr models --all` lists those that there are"
        )
    return facts
