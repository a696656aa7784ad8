"""What waits for an output that is away."""

import time
from contextlib import closing

from vsr.live.outputs.packet_queue import PacketQueue
from vsr.live.packets import VIDEO, Message

KEYFRAME = Message(VIDEO, bytes(100), flags=1)


def test_a_packet_that_is_given_back_again_and_again_grows_old_and_nothing_piles_up_behind_it():
    with closing(PacketQueue(max_s=0.1, max_bytes=1 << 20)) as queue:
        assert KEYFRAME.keyframe
        queue.put(KEYFRAME)
        for _ in range(5):
            first = queue.take()
            assert first is not None
            queue.give_back(first)
            time.sleep(0.04)
        queue.put(KEYFRAME)
        assert queue.dropped == 1
        assert queue.take() is not None
        assert queue.take() is None
