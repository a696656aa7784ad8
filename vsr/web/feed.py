"""What is told to all who listen or ask again and again: made once for each change, however many they are."""

import asyncio
import json
from dataclasses import asdict

import anyio
from fastapi.sse import format_sse_event
from pydantic import TypeAdapter

from vsr.web.records import OVER, WebJob
from vsr.web.runner import Progress
from vsr.web.shapes import JobView
from vsr.web.workshop import Workshop

_MOST_KEPT = 1000
"""Answers to different questions between two changes."""


class Feed:
    """Events and the list of jobs, ready to be sent. Used by the server's loop alone."""

    def __init__(self, workshop: Workshop):
        self._workshop, self._turn = workshop, asyncio.Lock()
        self._made_of: object = None
        self._list = b""
        self._views: dict[str, tuple[WebJob, Progress | None, bytes]] = {}
        self._version = -1
        self._since: dict[tuple[int, str], tuple[bytes, int, bool]] = {}
        self._progress: dict[str, tuple[Progress, bytes]] = {}

    async def jobs(self) -> bytes:
        """All jobs as JSON, in the order in which they are done."""
        async with self._turn:
            made_of = self._workshop.store.database.version, dict(self._workshop.runner.progress)
            if made_of != self._made_of:
                self._list = await anyio.to_thread.run_sync(self._listed)
                self._made_of = made_of
            return self._list

    def _listed(self) -> bytes:
        jobs, running = self._workshop.store.jobs(), self._workshop.runner.progress
        views: dict[str, tuple[WebJob, Progress | None, bytes]] = {}
        for job in jobs:
            known, progress = self._views.get(job.id), running.get(job.id)
            if known is None or known[0] != job or known[1] != progress:
                known = job, progress, _VIEW.dump_json(JobView.of(job, self._workshop))
            views[job.id] = known
        self._views = views
        return b"[%s]" % b",".join(view for _, _, view in views.values())

    def since(self, after: int, job: str = "") -> tuple[bytes, int, bool]:
        """What has happened after an event, to one job or to all.

        Returns:
            The events as they are sent, the last one's id, and whether the job is over or gone.
        """
        store = self._workshop.store
        version = store.database.version
        if version != self._version or len(self._since) > _MOST_KEPT:
            self._version, self._since = version, {}
        if (after, job) not in self._since:
            sent, last = b"", after
            for event in store.events(after, job):
                data = json.dumps({"job": event.job, **event.data})
                sent += format_sse_event(data_str=data, event=event.kind, id=str(event.id))
                last = event.id
            is_over = bool(job) and ((there := store.job(job)) is None or there.state in OVER)
            self._since[after, job] = sent, last, is_over
        return self._since[after, job]

    def progress(self, job: str, told: dict[str, Progress]) -> bytes:
        """What is new of how far jobs are, to somebody who has been told this; told then holds that, too."""
        sent = b""
        for id, progress in list(self._workshop.runner.progress.items()):
            if job in ("", id) and told.get(id) is not progress:
                told[id] = progress
                if id not in self._progress or self._progress[id][0] is not progress:
                    data = json.dumps({"job": id, **asdict(progress)})
                    self._progress[id] = progress, format_sse_event(data_str=data, event="progress")
                sent += self._progress[id][1]
        for id in self._progress.keys() - self._workshop.runner.progress.keys():
            del self._progress[id]
        return sent


_VIEW = TypeAdapter(JobView)
