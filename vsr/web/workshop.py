"""All that the server works with, put together; and what a job is from its order to its end."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vsr.jobs import extension_of, suffix_of
from vsr.media import is_image
from vsr.models import not_installed, to_fetch
from vsr.options import EnhanceOptions
from vsr.web.asked_options import job_wishes
from vsr.web.bell import Bell
from vsr.web.data_folder import DataFolder, new_id
from vsr.web.previews import Previews
from vsr.web.problems import ProblemError
from vsr.web.pulls import Pulls
from vsr.web.records import OVER, Action, Ended, Place, Upload, Webhook, WebJob
from vsr.web.runner import Runner
from vsr.web.store import Store
from vsr.web.uploads import Uploads
from vsr.web.web_options import WebOptions
from vsr.web.webhooks import Webhooks, check_webhook

_TIDY_EVERY_S = 60.0


class Workshop:
    """Store, uploads, previews and runner of a data folder, from `open` to `close`."""

    def __init__(
        self,
        data: DataFolder,
        store: Store,
        options: WebOptions,
        *,
        debug: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ):
        """`tell` hears what is for who runs the server alone."""
        self.data, self.store, self.options = data, store, options
        self.uploads = Uploads(data, store, options)
        self.previews = Previews(data)
        self.runner = Runner(store, data, options, debug=debug, tell=tell)
        self.pulls = Pulls(lambda: self.store.database.changed())
        self.webhooks = Webhooks(store, private=options.private_webhooks)
        self._closing = threading.Event()
        self._tidying = threading.Thread(target=self._tidy_now_and_then, name="vsr-tidy")

    def open(self, bell: Bell) -> None:
        """Go on with what waits."""
        self.bell = bell
        self.store.database.changed = bell.ring
        self.runner.start()
        self.webhooks.start()
        self._tidying.start()

    def close(self) -> None:
        """End what is under way; nothing that is finished of it is lost."""
        self._closing.set()
        self.previews.stop()
        self.runner.stop()
        self.webhooks.stop()
        self._tidying.join()

    def _tidy_now_and_then(self) -> None:
        while True:
            with suppress(sqlite3.Error, OSError):  # another time
                self.tidy()
            if self._closing.wait(_TIDY_EVERY_S):
                return

    def tidy(self) -> None:
        """Take away what has expired, and what is left of jobs that are gone."""
        before_s = time.time() - self.options.keep_s
        for job in self.store.jobs():
            if job.ended_s is not None and job.ended_s < before_s:
                self.delete(job.id)
        for id in self.store.deleted():
            self.runner.tidy(id)
        self.store.forget_events(before_s)
        self.uploads.remove_old()

    def order(
        self,
        upload: Upload,
        asked: Mapping[str, Any],
        key: str | None = None,
        webhook: Webhook | None = None,
    ) -> WebJob:
        """Take up a job. The same key and order twice is one job.

        Raises:
            ConfigError: the options or the webhook cannot be used.
            ModelError: a model is not installed.
            ProblemError: the upload has not come, the key came with another order, or there are too many jobs.
        """
        told = [] if webhook is None else [asdict(webhook)]
        order = json.dumps([upload.id, dict(asked), *told], sort_keys=True)
        fingerprint = hashlib.sha256(order.encode()).hexdigest()
        if key is not None and (known := self._known(key, fingerprint)) is not None:
            return known
        options, _ = job_wishes(asked)
        check_installed(options)
        if webhook is not None:
            check_webhook(webhook, private=self.options.private_webhooks)
        if not self.uploads.is_whole(upload):
            come = f"{self.uploads.offset(upload)} of {upload.length} bytes have come"
            raise ProblemError(409, f"the upload is not complete: {come}")
        if len(self.store.jobs()) >= self.options.max_files:
            raise ProblemError(507, "too many jobs are kept; delete some, or wait until they expire")
        job = replace(self._new(upload, asked, options), webhook=webhook)
        try:
            self.store.add_job(job, key, fingerprint)
        except sqlite3.IntegrityError:  # the same request came twice at once
            if key is not None and (known := self._known(key, fingerprint)) is not None:
                return known
            raise
        self.runner.wake()
        return job

    def _known(self, key: str, fingerprint: str) -> WebJob | None:
        try:
            return self.store.asked_before(key, fingerprint)
        except KeyError:
            raise ProblemError(
                422, "this Idempotency-Key came with another request; take a new one"
            ) from None

    def _new(self, upload: Upload, asked: Mapping[str, Any], options: EnhanceOptions) -> WebJob:
        path = self.uploads.path(upload)
        image = is_image(path)
        extension = extension_of(path, options.encode.container, is_image=image)
        result = f"{Path(upload.name).stem}{suffix_of(options.models)}{extension}"
        return WebJob(
            id=new_id(),
            upload=upload.id,
            name=upload.name,
            ending=upload.ending,
            lane="pictures" if image else "videos",
            options=asked,
            state="queued",
            error="",
            created_s=time.time(),
            began_s=None,
            ended_s=None,
            result=result,
            report=None,
        )

    def act(self, id: str, action: Action) -> WebJob:
        """Take an action on a job.

        Raises:
            ProblemError: there is no such job, or its state does not allow it.
        """
        if (job := self.store.move(id, action)) is None:
            state = self.job(id).state
            raise ProblemError(409, f"a job that is {state} cannot be told to {action}")
        self.runner.wake()
        self.runner.tidy(id)
        return job

    def reorder(self, id: str, where: Place) -> WebJob:
        """Have a job that waits done earlier or later.

        Raises:
            ProblemError: there is no such job, or it does not wait.
        """
        if (job := self.store.reorder(id, where)) is None:
            raise ProblemError(
                409, f"a job that is {self.job(id).state} cannot be moved; one that is queued can"
            )
        return job

    def job(self, id: str) -> WebJob:
        """A job by its id.

        Raises:
            ProblemError: there is none.
        """
        if (job := self.store.job(id)) is None:
            raise ProblemError(404, "there is no such job, or it has expired")
        return job

    def delete(self, id: str) -> None:
        """End a job and take it and its result away; its upload stays until it expires.

        Raises:
            ProblemError: there is none.
        """
        job = self.job(id)
        self.store.mark_deleted(job.id)
        self.store.touch(job.upload)
        self.runner.wake()
        self.runner.tidy(job.id)

    def clear(self, which: Ended) -> int:
        """Take away all jobs that are over, or over in one way, with their results; returns how many."""
        cleared = 0
        for job in self.store.jobs():
            if job.state in OVER and which in ("ended", job.state):
                with suppress(ProblemError):  # somebody else was faster
                    self.delete(job.id)
                    cleared += 1
        return cleared


def check_installed(options: EnhanceOptions) -> None:
    """Raise ModelError where a model that is named has yet to be fetched."""
    for facts in to_fetch(options.models.model):
        raise not_installed(facts)
