"""Webhooks: whoever has asked for it is told when a job is over, as Standard Webhooks says (standardwebhooks.com).

What is to be told lies in the store from the moment at which the job is over, so that no end of the server loses it.
It is told until somebody takes it, with the same id each time, for three days.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import random
import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from vsr.errors import ConfigError, one_line
from vsr.web.outgoing import check_url, post
from vsr.web.records import Delivery, Webhook
from vsr.web.store import Store

PAUSES_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Between one attempt and the next, each up to a fifth longer, so that not all come back at once."""

_KIND = "whsec_"
_LOOK_EVERY_S = 0.5
_LIMIT_S = 10.0
_MOST_AT_ONCE = 4
_GONE = 410
"""What a receiver answers with that wants to hear no more."""


def check_webhook(webhook: Webhook, *, private: bool) -> None:
    """Raise ConfigError for an address that is none or not allowed, or a secret that is none."""
    check_url(webhook.url, private=private)
    _key(webhook.secret)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_KIND), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_KIND) or not 24 <= len(key) <= 64:
        raise ConfigError(f"the webhook's secret must be {_KIND} and the BASE64 of 24 to 64 random bytes")
    return key


def signature_of(secret: str, id: str, at_s: int, body: bytes) -> str:
    """The header `webhook-signature` of a message."""
    signed = f"{id}.{at_s}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()}"


class Webhooks:
    """Tells what the store holds to be told, until `stop`."""

    def __init__(self, store: Store, *, private: bool, pauses_s: Sequence[float] = PAUSES_S):
        """`private` lets addresses of this machine and its network be told, too."""
        self._store, self._private, self._pauses_s = store, private, pauses_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vsr-webhooks")

    def start(self) -> None:
        """Go on with what is left to be told."""
        self._thread.start()

    def stop(self) -> None:
        """End; what has not been taken is told after the next start."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="vsr-webhook") as pool:
            while not self._stopping.is_set():
                with suppress(sqlite3.Error):  # another time
                    for _ in pool.map(self._tell, self._store.due_deliveries(_MOST_AT_ONCE)):
                        pass
                self._stopping.wait(_LOOK_EVERY_S)

    def _tell(self, delivery: Delivery) -> None:
        """Make one attempt."""
        try:
            status = self._sent(delivery)
            wrong = "" if 200 <= status < 300 else f"it answers {status}"
            is_final = not wrong or status == _GONE
        except ConfigError as error:
            wrong, is_final = str(error), True
        except (OSError, http.client.HTTPException) as error:
            wrong, is_final = one_line(error), False
        if not is_final and delivery.tries < len(self._pauses_s):
            pause_s = self._pauses_s[delivery.tries] * random.uniform(1.0, 1.2)
            return self._store.put_off(delivery, time.time() + pause_s)
        return self._store.settle(delivery, f"the webhook was not taken: {wrong}" if wrong else "")

    def _sent(self, delivery: Delivery) -> int:
        body, now = delivery.body.encode(), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "vsr",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature_of(delivery.secret, delivery.id, now, body),
        }
        return post(delivery.url, body, headers, private=self._private, limit_s=_LIMIT_S)
