"""When the process of an output counts as frozen."""

import itertools
import time
from contextlib import closing

import pytest
from support.live_player import wait_for

from vsr import offspring
from vsr.live import child_pipes
from vsr.live.newest_wins import in_background
from vsr.live.outputs import feeder
from vsr.live.outputs.packet_queue import PacketQueue
from vsr.live.packets import VIDEO, Message


class Owner:
    """Has a process whose receiver is given little time."""

    silence_s = 0.6
    closing_s = 0.0

    def __init__(self):
        self.heard: list[str] = []

    def changes(self, description: Message) -> bool:
        return False

    def hear(self, news: str) -> None:
        self.heard.append(news)

    def count(self, size: int) -> None:
        pass


@pytest.mark.parametrize(
    ("says", "reason"), [("", "it did not open within 0.6 s"), ("echo open; ", "the receiver took nothing")]
)
def test_a_process_that_works_is_not_frozen_however_long_it_takes(monkeypatch, says, reason):
    used = itertools.count()
    monkeypatch.setattr(offspring, "cpu_ticks", lambda pid: next(used))
    monkeypatch.setattr(feeder, "_OPEN_S", 0.6)
    child = child_pipes.start(["sh", "-c", f"{says}exec sleep 600"])
    with closing(child), closing(PacketQueue(max_s=600, max_bytes=1 << 20)) as queue:
        queue.put(Message(VIDEO, bytes(100), flags=1))
        owner = Owner()
        ended = in_background(feeder.Feeder(owner, child, queue, b"hello\n").run, name="feeder")
        time.sleep(1.5)
        assert not ended.done()
        wait_for(lambda: owner.heard == ["open"] * bool(says))
        monkeypatch.setattr(offspring, "cpu_ticks", lambda pid: -1)
        assert ended.result(60).startswith(reason)
