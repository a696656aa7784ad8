"""TensorFlow graphs of OpenCV's dnn_superres (`.pb`: ESPCN, FSRCNN, LapSRN, EDSR) as networks of PyTorch.

A graph is read node by node, so that neither TensorFlow nor the module that OpenCV 5 has no more is
needed, and runs on any device, in tiles, in batches. Pictures are (B, C, H, W) throughout: what
transposes to or from TensorFlow's order of axes does nothing here. Luma networks see full-range Y'; EDSR
sees B G R in codes, less DIV2K's mean.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsr.durable import sha256_of
from vsr.errors import ModelError, one_line
from vsr.models.files.protobuf import fields_at, varint
from vsr.models.layers.facts import facts_of
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.spec import Model, ModelSpec

_BGR_MEAN = (103.1545782, 111.561547, 114.35629928)
"""What dnn_superres takes from the codes of each colour before EDSR, and gives back after."""

_MOST_NODES = 20_000
_FLOAT = 1
"""tensorflow/core/framework/types.proto: DT_FLOAT."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One operation: what the network does, and the names of what it does it to."""

    operation: str
    inputs: tuple[str, ...]
    attributes: dict[str, bytes]


_TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "AddV2": torch.add,
    "BiasAdd": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Maximum": torch.maximum,
}
_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": F.relu,
    "Abs": torch.abs,
    "Neg": torch.neg,
    "Tanh": torch.tanh,
    "Identity": lambda x: x,
    "Transpose": lambda x: x,
}


class _Convolution(nn.Module):
    """Stride 1, black outside, as large as what comes in; kernels of even
    sides reach farther down and right."""

    def __init__(self, kernel: Tensor):
        super().__init__()
        height, width, seen, made = kernel.shape
        self.layer = nn.Conv2d(seen, made, (height, width), bias=False)
        self.layer.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
        self._pad = ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(F.pad(x, self._pad))


class GraphNet(SingleFrame):
    """Runs a graph's nodes in order, and lets go of every result after its last use."""

    def __init__(self, nodes: dict[str, _Node]):
        super().__init__()
        self._source, self._output = _ends(nodes)
        self._steps: list[tuple[str, _Node]] = []
        self.layers = nn.ModuleDict()
        for name in _needed(nodes, self._output):
            node = nodes[name]
            if node.operation == "Conv2D":
                self.layers[_key(name)] = _convolution(node, nodes[node.inputs[1]])
                node = _Node("Conv2D", node.inputs[:1], node.attributes)
            elif node.operation == "Const":
                if _is_float(node):  # the others are orders of axes
                    value = _constant(node)
                    self.register_buffer(_key(name), value.view(-1, 1, 1) if value.ndim == 1 else value)
                continue
            elif node.operation == "Transpose":
                node = _Node("Identity", node.inputs[:1], {})
            elif node.operation not in (*_ONE, *_TWO, "DepthToSpace", "Placeholder"):
                raise ValueError(f"operation {node.operation} is none of dnn_superres's")
            if node.operation != "Placeholder":
                self._steps.append((name, node))
        self._last_use = {key: i for i, (_, node) in enumerate(self._steps) for key in node.inputs}
        first = next(
            name
            for name, node in self._steps
            if node.operation == "Conv2D" and node.inputs[0] == self._source
        )
        layer = self.layers[_key(first)]
        assert isinstance(layer, _Convolution)
        self.colors = layer.layer.in_channels
        self.register_buffer("mean", torch.tensor(_BGR_MEAN).view(1, 3, 1, 1) / 255, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), Y' or R G B, 0 to 1 → (B, C, scale*H, scale*W)."""
        if self.colors == 1:
            return self._run(x)
        mean = self.get_buffer("mean")
        return (self._run((x.flip(1) - mean) * 255) / 255 + mean).flip(1)

    def _run(self, x: Tensor) -> Tensor:
        values = {self._source: x}
        for i, (name, node) in enumerate(self._steps):
            given = [values[key] if key in values else self.get_buffer(_key(key)) for key in node.inputs]
            if node.operation == "Conv2D":
                values[name] = self.layers[_key(name)](given[0])
            elif node.operation == "DepthToSpace":
                values[name] = _depth_to_space(given[0], _number(node.attributes["block_size"]))
            elif node.operation in _ONE:
                values[name] = _ONE[node.operation](given[0])
            else:
                values[name] = _TWO[node.operation](given[0], given[1])
            for key in node.inputs:
                if self._last_use[key] == i:
                    values.pop(key, None)
        return values[self._output]


def _depth_to_space(x: Tensor, block: int) -> Tensor:
    """TensorFlow's order: the colours of a pixel lie together, PyTorch's: the pixels of a colour."""
    if x.shape[1] != block * block:
        x = x.unflatten(1, (block * block, -1)).transpose(1, 2).flatten(1, 2)
    return F.pixel_shuffle(x, block)


def _key(name: str) -> str:
    return "n_" + name.replace(".", "_").replace("/", "_")


def _ends(nodes: dict[str, _Node]) -> tuple[str, str]:
    """The picture that goes in, and the node that gives the enlarged one: the last that nothing follows."""
    sources = [name for name, node in nodes.items() if node.operation == "Placeholder"]
    used = {key for node in nodes.values() for key in node.inputs}
    outputs = [name for name, node in nodes.items() if name not in used and node.operation != "Const"]
    if len(sources) != 1 or not outputs:
        raise ValueError("a graph with one picture in and one out is expected")
    return sources[0], "NCHW_output" if "NCHW_output" in outputs else outputs[-1]


def _needed(nodes: dict[str, _Node], output: str) -> list[str]:
    """Names of what the output needs, each after what it needs itself; a circle is none of its own."""
    order: dict[str, None] = {}
    waiting = [(output, False)]
    for _ in range(4 * _MOST_NODES):
        if not waiting:
            return list(order)
        name, ready = waiting.pop()
        if ready:
            order[name] = None
        elif name not in order:
            waiting.append((name, True))
            waiting += [(key, False) for key in nodes[name].inputs]
    raise ValueError("the graph goes in circles")


def _convolution(node: _Node, kernel: _Node) -> _Convolution:
    weight = _constant(kernel)
    steps = next(fields_at(node.attributes["strides"], 1, 3))
    padding = next(fields_at(node.attributes["padding"], 2))
    if weight.ndim != 4 or steps != bytes([1, 1, 1, 1]) or padding != b"SAME":
        raise ValueError("a convolution of stride 1 that keeps the size is expected")
    return _Convolution(weight)


def _number(attribute: bytes) -> int:
    """AttrValue.i of attr_value.proto."""
    return varint(next(fields_at(attribute, 3)))[0]


def _is_float(node: _Node) -> bool:
    """AttrValue.type of a constant."""
    return next((varint(content)[0] for content in fields_at(node.attributes["dtype"], 6)), 0) == _FLOAT


def _constant(node: _Node) -> Tensor:
    """tensor.proto: sizes in field 2, the content in 4, or few numbers in 5; one number stands for all."""
    tensor = next(fields_at(node.attributes["value"], 8))
    sides = [varint(side)[0] for side in fields_at(tensor, 2, 2, 1)]
    content = next(fields_at(tensor, 4), b"") or b"".join(fields_at(tensor, 5))
    values = torch.from_numpy(np.frombuffer(content, "<f4").astype(np.float32))
    if not values.isfinite().all():
        raise ValueError("a constant holds values that are no numbers")
    return values.view(()) if len(values) == 1 and len(sides) < 4 else values.view(sides)


def _nodes(graph: bytes) -> dict[str, _Node]:
    """graph.proto and node_def.proto: nodes in field 1; of each the name,
    operation, inputs and attributes."""
    nodes: dict[str, _Node] = {}
    for content in fields_at(graph, 1):
        name, operation = (next(fields_at(content, field)).decode() for field in (1, 2))
        inputs = tuple(
            key.decode().partition(":")[0] for key in fields_at(content, 3) if not key.startswith(b"^")
        )
        pairs = (
            (next(fields_at(entry, 1)).decode(), next(fields_at(entry, 2), b""))
            for entry in fields_at(content, 5)
        )
        nodes[name] = _Node(operation, inputs, dict(pairs))
        if len(nodes) > _MOST_NODES:
            raise ValueError(f"more than {_MOST_NODES} nodes")
    return nodes


def read_graph(path: Path) -> Model:
    """Read a `.pb` file of OpenCV's dnn_superres.

    Raises:
        ModelError: the file cannot be read, or is another graph than those.
    """
    try:
        network = GraphNet(_nodes(path.read_bytes())).eval()
        with torch.inference_mode():
            out = network(torch.zeros(1, network.colors, 8, 8))
        facts = facts_of(network, colors=network.colors, small=8)
    except (OSError, RuntimeError, ValueError, LookupError, StopIteration, TypeError, struct.error) as error:
        raise ModelError(
            f"{path.name} cannot be read as a graph of OpenCV's dnn_superres: {one_line(error)}"
        ) from None
    scale, rest = divmod(out.shape[-1], 8)
    if network.colors not in (1, 3) or rest or out.shape != (1, network.colors, 8 * scale, 8 * scale):
        raise ModelError(
            f"{path.name} makes {tuple(out.shape)} of {network.colors} colours of 8x8; it is no enlarger"
        )
    return Model(
        ModelSpec(
            name=path.stem,
            scale=scale,
            in_channels=1 if network.colors == 1 else 3,
            dtypes=("fp32", "fp16"),
            sha256=sha256_of(path),
            network="TensorFlow graph",
            **facts,
        ),
        network,
    )
