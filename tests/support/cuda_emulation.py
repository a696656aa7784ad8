"""Stands in for a GPU on a CPU: tensors that say they are there, whose values are computed at once and whose every
access goes through `cuda_clocks`.

What makes the host wait raises under `set_sync_debug_mode("error")` and while a graph is recorded; tensors of two
devices do not mix; memory ends where it is told to. Operations that only look at tensors in another way are none.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from support.cuda_clocks import Access, Buffer, Operation, Stream
from support.cuda_runtime import EmulatedEvent, EmulatedGraph, EmulatedStream, Runtime, device_index
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from vsr.engine import engine
from vsr.picture import Rounding
from vsr.resample import resizing

aten = torch.ops.aten

_WAITS = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.equal,
    aten.masked_select,
    aten._unique2,
    aten.is_nonzero,
}
"""Operations whose results the host wants to see."""

_CPU = torch.device("cpu")


class GpuTensor(torch.Tensor):
    """A tensor on an emulated device, or in pinned memory; PyTorch's own C++ takes it for one of the CPU."""

    @staticmethod
    def __new__(cls, values: torch.Tensor, cuda: "Emulation", buffer: Buffer, place: torch.device):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
        )
        made.values_, made.cuda_, made.buffer, made.place = values, cuda, buffer, place
        return made

    def __init__(self, *_: object):
        pass

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        tensors = [x for x in _leaves([*args, *(kwargs or {}).values()]) if isinstance(x, GpuTensor)]
        return tensors[0].cuda_.run(func, args, kwargs or {})

    @property
    def device(self) -> torch.device:
        return self.place

    @property
    def is_cuda(self) -> bool:
        return self.place.type == "cuda"

    def is_pinned(self, *_: object) -> bool:
        return not self.is_cuda

    def data_ptr(self) -> int:
        return self.values_.data_ptr()

    def get_device(self) -> int:
        return self.place.index if self.is_cuda else -1

    def record_stream(self, stream: "EmulatedStream") -> None:
        self.buffer.recorded.add(stream.line)

    def numpy(self) -> Any:
        """The host's view of pinned memory; whoever asks is taken to read and write now."""
        assert not self.is_cuda, "a tensor on a GPU has no numpy array"
        self.cuda_.clocks.touch(self.buffer.block, "numpy()", writes=True)
        return self.values_.numpy()

    def cpu(self) -> torch.Tensor:
        return self.to("cpu")

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """What stays, stays; PyTorch's C++, which takes all for tensors of the CPU, sees no way to go."""
        places = [
            torch.device(x) for x in [*args, kwargs.pop("device", None)] if isinstance(x, str | torch.device)
        ]
        rest = [x for x in args if not isinstance(x, str | torch.device)]
        place = torch.device("cpu") if not places else places[0]
        if not places or place == self.place or not (self.is_cuda or place.type == "cuda"):
            return super().to(*rest, **kwargs) if rest or kwargs else self
        moved = self.cuda_.move(self, place, non_blocking=bool(kwargs.pop("non_blocking", False)))
        return moved.to(*rest, **kwargs) if rest or kwargs else moved

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self, **_: object) -> str:
        return f"GpuTensor({tuple(self.shape)}, {self.dtype}, {self.place})"


class _Numbered(TorchFunctionMode):
    """Gives `cuda` the number of the current device before PyTorch's C++ would ask a driver for it."""

    def __init__(self, current: Callable[[], int]):
        super().__init__()
        self._current = current

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def numbered(x: Any) -> Any:
            bare = (isinstance(x, torch.device) and x.type == "cuda" and x.index is None) or x == "cuda"
            return torch.device("cuda", self._current()) if bare else x

        if func is torch.device:
            return func(*args, **(kwargs or {}))
        args = [numbered(x) if isinstance(x, torch.device | str) else x for x in args]
        if kwargs and isinstance(kwargs.get("device"), torch.device | str):
            kwargs = {**kwargs, "device": numbered(kwargs["device"])}
        return func(*args, **(kwargs or {}))


class Emulation(Runtime, TorchDispatchMode):
    """`with emulated_cuda() as cuda:` puts it in the place of `torch.cuda`; `faults` says what went wrong."""

    def __init__(self, num_devices: int = 1, most_bytes: int | None = None):
        Runtime.__init__(self, num_devices, most_bytes)
        TorchDispatchMode.__init__(self)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and asking for the compiler would load it

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.run(func, args, kwargs or {})

    @torch.inference_mode(False)
    @torch.no_grad()  # ordinary tensors throughout: one made in inference mode could not be a view of one that is not
    def run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """An operation as PyTorch's dispatcher hands it over, on tensors of any place."""
        tensors = [x for x in _leaves([*args, *kwargs.values()]) if isinstance(x, torch.Tensor)]
        ours = [x for x in tensors if isinstance(x, GpuTensor)]
        wanted = kwargs.get("device")
        wanted = None if wanted is None else torch.device(wanted)
        if not ours and (wanted is None or wanted.type != "cuda") and not kwargs.get("pin_memory"):
            return func(*args, **kwargs)
        with self:  # what stands for several operations comes back as these
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        place = self._place(ours, wanted)
        if func.overloadpacket not in (aten._to_copy, aten.copy_):
            self._refuse_mixtures(tensors)
        return self._start(func, args, kwargs, ours, place)

    def move(self, tensor: GpuTensor, place: torch.device, *, non_blocking: bool) -> torch.Tensor:
        """Copy a tensor to another place: to the host, into pinned memory if nobody is to wait."""
        with self:
            if place.type == "cuda":
                target = torch.empty(tensor.shape, dtype=tensor.dtype, device=place)
            else:
                target = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=non_blocking)
            return target.copy_(tensor, non_blocking=non_blocking)

    def _place(self, ours: list[GpuTensor], wanted: torch.device | None) -> torch.device:
        """Where the results are; that tensors stay where they are PyTorch's C++ says by naming the CPU."""
        if wanted is not None and wanted.type == "cuda":
            return torch.device("cuda", device_index(wanted, self.current_device()))
        on_gpu = [x.place for x in ours if x.is_cuda]
        return on_gpu[0] if on_gpu else _CPU

    @staticmethod
    def _refuse_mixtures(tensors: list[torch.Tensor]) -> None:
        places = {x.device for x in tensors if x.dim() or x.device.type == "cuda"}
        if len(places) > 1:
            raise RuntimeError(f"Expected all tensors to be on the same device, but found {places}")

    def _start(
        self, func: Any, args: Any, kwargs: dict[str, Any], ours: list[GpuTensor], place: torch.device
    ) -> Any:
        gpus = [x.place.index for x in ours if x.is_cuda] + ([place.index] if place.type == "cuda" else [])
        stream = self.current_stream(gpus[0]).line if gpus else None
        bare, named = _mapped(_values, args), {name: _mapped(_values, x) for name, x in kwargs.items()}
        named.pop("pin_memory", None)
        if "device" in named:
            named["device"] = _CPU
        waits = self._waits(func, args, kwargs, place, stream)
        if waits and self.sync_mode == "error":
            raise RuntimeError(f"called a synchronizing CUDA operation ({func})")
        if waits and self.capture is not None:
            self.wait_for({}, str(func))
        values = func(*bare, **named)
        written = _written(func, args, kwargs)
        known = {x.values_.untyped_storage()._cdata: x.buffer for x in ours}
        pinned = place == _CPU and bool(kwargs.get("pin_memory"))
        fresh: list[GpuTensor] = []
        made = self._made(values, known, ours, place, stream, fresh, pinned=pinned)
        views = not fresh and not written and made is not None and stream is not None and _is_view(func)
        if stream is not None and not views:
            accesses = [Access(x.buffer.block, False) for x in ours if all(x is not w for w in written)]
            accesses += [Access(x.buffer.block, True) for x in [*written, *fresh] if isinstance(x, GpuTensor)]
            self._launch(stream, func, accesses, lambda: func(*bare, **named), fresh)
        if waits and stream is not None:
            self.clocks.wait(stream.clock)
        return args[0] if written and func._schema.name.endswith("_") else made

    def _launch(
        self,
        stream: Stream,
        func: Any,
        accesses: list[Access],
        again: Callable[[], Any],
        fresh: list[GpuTensor],
    ) -> None:
        results = [x.values_ for x in fresh]

        def run() -> None:
            for target, value in zip(
                results, (x for x in _leaves(again()) if isinstance(x, torch.Tensor)), strict=False
            ):
                target.copy_(value)

        def spoil() -> None:
            for target in results:
                target.fill_(77)

        capture = self.capture
        if capture is None:
            self.launches.append((stream.name, str(func)))
            self.clocks.start(stream, str(func), accesses)
        elif stream is capture.stream:
            capture.operations.append(Operation(str(func), accesses, run, spoil))
        else:
            self.clocks.complain(f"{func} runs on {stream.name} while {capture.stream.name} is recorded")

    def _made(
        self,
        values: Any,
        known: dict[int, Buffer],
        ours: list[GpuTensor],
        place: torch.device,
        stream: Stream | None,
        fresh: list[GpuTensor],
        *,
        pinned: bool,
    ) -> Any:
        """Results as tensors of the device: views of what is there already, or in memory of their own."""

        def wrap(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            buffer = known.get(value.untyped_storage()._cdata)
            if buffer is not None:
                return GpuTensor(value, self, buffer, place)
            if place == _CPU and not pinned:
                return value
            one = GpuTensor(value, self, self._allocate(value, place, stream), place)
            fresh.append(one)
            return one

        return _mapped(wrap, values)

    def _allocate(self, value: torch.Tensor, place: torch.device, stream: Stream | None) -> Buffer:
        size = max(512, -(-value.untyped_storage().nbytes() // 512) * 512)
        if place == _CPU:
            buffer = self.clocks.pinned.allocate(size, None)
        else:
            capture = self.capture
            pool = capture.pool if capture is not None and capture.stream is stream else None
            buffer = self.clocks.memory[place.index].allocate(size, stream, pool)
        if buffer is None:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes")
        return buffer

    def _waits(self, func: Any, args: Any, kwargs: Any, place: torch.device, stream: Stream | None) -> bool:
        """Whether the host waits within an operation."""
        if stream is None:
            return False
        packet = func.overloadpacket
        if packet in (aten._to_copy, aten.copy_):
            sides = [args[0].device.type, place.type if packet is aten._to_copy else args[1].device.type]
            asynchronous = kwargs.get("non_blocking") or (packet is aten.copy_ and len(args) > 2 and args[2])
            return len(set(sides)) > 1 and not asynchronous
        masks = packet is aten.index and any(x is not None and x.dtype == torch.bool for x in args[1])
        return packet in _WAITS or masks


def _leaves(nest: Any) -> list[Any]:
    return [leaf for x in nest for leaf in _leaves(x)] if isinstance(nest, list | tuple) else [nest]


def _mapped(function: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, list | tuple):
        return type(nest)(_mapped(function, x) for x in nest)
    return function(nest)


def _values(x: Any) -> Any:
    return x.values_ if isinstance(x, GpuTensor) else x


def _written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The arguments that an operation writes to."""
    found: list[torch.Tensor] = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += [x for x in _leaves(value) if isinstance(x, torch.Tensor)]
    return found


def _is_view(func: Any) -> bool:
    return any(one.alias_info is not None for one in func._schema.returns) or func.overloadpacket in (
        aten._unsafe_view,
        aten._reshape_alias,
    )


@contextmanager
def emulated_cuda(num_devices: int = 1, most_bytes: int | None = None) -> Iterator[Emulation]:
    """Put an emulation in the place of `torch.cuda` while the block lasts."""
    cuda = Emulation(num_devices, most_bytes)
    name, total = "Emulated GPU", most_bytes or 8 << 30
    properties = SimpleNamespace(name=name, total_memory=total, major=9, minor=0)
    names = {
        "CUDAGraph": lambda: EmulatedGraph(cuda),
        "Event": lambda **options: EmulatedEvent(cuda, **options),
        "Stream": cuda.make_stream,
        "_lazy_init": lambda: None,
        "current_device": cuda.current_device,
        "current_stream": cuda.current_stream,
        "default_stream": lambda device=None: cuda.defaults[device_index(device, cuda.current_device())],
        "device": cuda.device,
        "device_count": lambda: num_devices,
        "empty_cache": cuda.empty_cache,
        "get_arch_list": lambda: ["sm_90"],
        "get_device_capability": lambda device=None: (9, 0),
        "get_device_name": lambda device=None: name,
        "get_device_properties": lambda device=None: properties,
        "get_sync_debug_mode": lambda: ("default", "warn", "error").index(cuda.sync_mode),
        "graph": cuda.graph,
        "graph_pool_handle": object,
        "is_available": lambda: True,
        "is_current_stream_capturing": lambda: cuda.capture is not None,
        "mem_get_info": lambda device=None: (
            total - cuda.clocks.memory[device_index(device)].used_bytes,
            total,
        ),
        "memory_allocated": lambda device=None: cuda.clocks.memory[device_index(device)].used_bytes,
        "memory_reserved": lambda device=None: cuda.clocks.memory[device_index(device)].used_bytes,
        "set_device": cuda.set_device,
        "set_stream": cuda.set_stream,
        "set_sync_debug_mode": cuda.set_sync_debug_mode,
        "stream": cuda.stream,
        "synchronize": cuda.synchronize,
    }
    # Filters that are kept for good were brought to the device of an emulation before.
    resizing._filters.cache_clear()
    resizing._taps.cache_clear()
    resizing._line.cache_clear()
    with ExitStack() as stack:
        stack.callback(resizing._filters.cache_clear)
        stack.callback(resizing._taps.cache_clear)
        stack.callback(resizing._line.cache_clear)
        # Triton looks for a driver, and speaks to that.
        stack.enter_context(mock.patch.object(engine, "rounding_on", return_value=Rounding()))
        for attribute, value in names.items():
            stack.enter_context(mock.patch.object(torch.cuda, attribute, value))
        overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        # Parameters become tensors of another class.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        stack.enter_context(_Numbered(cuda.current_device))
        stack.enter_context(cuda)
        yield cuda
