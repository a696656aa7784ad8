"""Recording a network's step once per shape and replaying it: the bookkeeping,
and CUDA graphs as one kind of record.

A small picture costs a GPU less time than Python needs to start its kernels; a graph starts them all at once.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from vsr.errors import one_line
from vsr.models import Network, State

Step = Callable[[list[Tensor]], list[Tensor]]
"""A step on bare tensors: frames, whatever the state holds, and the flags;
what comes out, then the next state."""

Recorder = Callable[[Step, list[Tensor]], Step]
"""Makes of a step, and tensors like those it will see, a faster one for these
shapes alone. May run it some times.

What the faster step gives back belongs to the caller: no later call writes to it.
"""

MOST_SHAPES = 16
"""Recordings kept; the nine sorts of tile that a picture has fit, and a stream of
changing sizes does not grow memory."""

IDLE_STEPS = 1000
"""A recording makes room for another when it has not been used in so many steps. A GPU is brought to a halt for
each: whatever comes and goes quicker runs as it stands."""


class Recorded:
    """A network whose step is recorded for each shape that comes often enough, while there is room.

    Once may be all there is of a shape: a photo, or the short batch at the end of a clip. What cannot be
    recorded runs as it stands from then on, and the user is told.
    """

    def __init__(
        self,
        network: Network,
        record: Recorder,
        *,
        note: Callable[[str], None],
        uses: int = 2,
        most_shapes: int = MOST_SHAPES,
        idle_steps: int = IDLE_STEPS,
    ):
        """Wrap a network.

        Args:
            network: on its device already.
            record: called in the thread that runs the step, never twice at once.
            note: told once, with the reason, if recording fails.
            uses: how often a shape must have come, this time included, to be recorded.
            most_shapes: how many recordings are kept.
            idle_steps: in so many steps a recording must have been used, or it makes room where room is wanted.
        """
        self._network, self._record, self._note = network, record, note
        self._uses, self._most, self._idle = uses, most_shapes, idle_steps
        self._shapes: OrderedDict[Any, tuple[Step, int]] = OrderedDict()
        """Recordings, and the number of the step that used each last: the one used longest ago is the first."""
        self._seen: OrderedDict[Any, int] = OrderedDict()
        """How often shapes have come that are not recorded."""
        self._num_steps = 0
        self._works = True
        self._lock = threading.Lock()

    def init_state(self, batch: int, height: int, width: int) -> State | None:
        """The network's own."""
        return self._network.init_state(batch, height, width)

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, State | None]:
        """Replay the step of these shapes, or run it as it stands."""
        tensors = [frames, reset, *_leaves(state)]
        try:
            replay = self._find(tensors, state) if self._works else None
        except Exception as error:
            self.forget()  # if memory was short, what follows has all of it, or fails and is made smaller
            self._works, replay = False, None
            self._note(one_line(error))
        if replay is None:
            return self._network.step(frames, state, reset)
        out, *after = replay(tensors)
        return out, _like(state, after)

    def forget(self) -> None:
        """Give back all that was recorded, and its memory."""
        with self._lock:
            self._shapes.clear()
            self._seen.clear()

    def _find(self, tensors: list[Tensor], state: State | None) -> Step | None:
        # A compiler makes other code for other numbers of threads.
        key = (*((tensor.shape, tensor.dtype) for tensor in tensors), torch.get_num_threads())
        with self._lock:
            self._num_steps += 1
            if key in self._shapes:
                step, _ = self._shapes[key]
            elif self._is_due(key):
                step = self._record(_bare(self._network, state), tensors)
            else:
                return None
            self._shapes[key] = step, self._num_steps
            self._shapes.move_to_end(key)
            return step

    def _is_due(self, key: Any) -> bool:
        """Whether to record a shape now; makes room for it."""
        self._seen[key] = self._seen.pop(key, 0) + 1
        if len(self._seen) > 4 * self._most:
            self._seen.popitem(last=False)
        if self._seen[key] < self._uses:
            return False
        if len(self._shapes) >= self._most:
            oldest, (_, used) = next(iter(self._shapes.items()))
            if self._num_steps - used <= self._idle:
                return False
            del self._shapes[oldest]
        del self._seen[key]
        return True


def _bare(network: Network, like: State | None) -> Step:
    """The network's step as a function of tensors alone, for states in the form of one."""
    form = None if like is None else pytree.tree_structure(like)

    def step(tensors: list[Tensor]) -> list[Tensor]:
        frames, reset, *leaves = tensors
        out, after = network.step(
            frames, None if form is None else pytree.tree_unflatten(leaves, form), reset
        )
        return [out, *_leaves(after)]

    return step


def _leaves(state: State | None) -> list[Tensor]:
    return [] if state is None else pytree.tree_leaves(state)


def _like(state: State | None, tensors: list[Tensor]) -> State | None:
    """Tensors in the form of a state."""
    return None if state is None else pytree.tree_unflatten(tensors, pytree.tree_structure(state))


class CudaGraphs:
    """Records steps as CUDA graphs.

    All graphs share one pool of memory. That is safe because they run one after the other on one stream and
    what they give is copied out at once: a graph's own output has a fixed place, which the next replay, of
    any shape, writes to while the download of this result may still be reading. The copy costs a read and a
    write of the output, a few hundredths of what the network itself moves; a ring of outputs would take as
    many recordings as it is long.
    """

    WARM_UP = 3
    """Runs before recording: cuDNN chooses its kernels and caches fill, which no recording must contain."""

    def __init__(self, device: torch.device):
        self._device = device
        # Always the same one, or graphs would not share their memory.
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Step, tensors: list[Tensor]) -> Step:
        """Record a step for tensors of these shapes.

        Raises:
            RuntimeError: the step makes the host wait for the device, or memory is short.
        """
        inputs = [torch.empty_like(tensor).copy_(tensor) for tensor in tensors]
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        try:
            # Around the capture, too: one that fails does not put the stream back itself.
            with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
                for _ in range(self.WARM_UP - 1):
                    step(inputs)
                with refused_waiting():
                    step(inputs)
                # Other threads may allocate pinned memory or run networks of their own meanwhile.
                with torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                ):
                    outputs = step(inputs)
        finally:
            current.wait_stream(self._stream)

        def replay(tensors: list[Tensor]) -> list[Tensor]:
            for fixed, tensor in zip(inputs, tensors, strict=True):
                fixed.copy_(tensor)
            graph.replay()
            return [output.clone() for output in outputs]

        return replay


@contextmanager
def refused_waiting() -> Generator[None, None, None]:
    """Let what makes the host wait for the device raise a RuntimeError while the block lasts.

    A capture would fail by it, too; but before PyTorch 2.12 a capture that failed leaves an allocator that can
    never give back memory again. The mode is the whole process's: other threads must not wait meanwhile but by
    events, which is what ours do.
    """
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode")
        try:
            torch.cuda.set_sync_debug_mode("error")
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
