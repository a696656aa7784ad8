"""What the engine must know of a network, as data beside it, and the one interface every network serves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from torch import Tensor

PACKED = 6
"""Channels of packed 4:2:0 at half size: luma of the even row's two columns, of the odd row's, Cb, Cr."""

TOLD = 2
"""Planes beside them that tell a `Damage`: its noise over `NOISE_SPAN`, and its compression."""

NOISE_SPAN = 50.0
"""Code values of 8 bits that the plane of the noise calls 1."""

State = Any
"""A stateful network's own memory between steps; only the network looks inside."""


@dataclass(frozen=True, slots=True)
class Context:
    """Neighbouring frames that a network wants around the frames it emits."""

    before: int = 0
    """Earlier frames in the window."""
    after: int = 0
    """Later frames in the window; each one delays live output by a frame."""
    emit: int = 1
    """Frames enhanced by one step."""
    stateful: bool = False
    """The network also carries a state from step to step."""
    shortens: bool = False
    """Where a scene has no more frames the window is shorter, instead of repeating the last one, and the step
    emits the first `emit` of those there are. For networks without frames before."""

    @property
    def num_frames(self) -> int:
        """Frames that one step looks at."""
        return self.before + self.emit + self.after

    @property
    def latency(self) -> int:
        """Frames that must arrive after a frame before it can leave."""
        return self.after + self.emit - 1


@dataclass(frozen=True, slots=True)
class Damage:
    """What has been done to pictures, as networks for real footage are told it; clean unless said otherwise."""

    noise: float = 0.0
    """σ of the noise in luma where there is little else, in code values of 8 bits: of the diagonal Haar detail
    (a - b - c + d) / 2 of what has been added. What a codec took of detail is no noise."""
    compression: float = 0.0
    """0 for none to 1 for the worst: (100 - quality) / 100 of JPEG, (crf - 12) / 35 of H.264 and HEVC, a 24th of the
    quantiser of MPEG-2, MPEG-4 and Motion JPEG."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network's facts."""

    name: str
    """`<tier>[-real]-x<scale>` for our own, the file's stem for a checkpoint from a path."""
    scale: int
    """Output size over input size."""
    in_channels: Literal[1, 3, 8] = 1
    """1: luma alone, the engine carries chroma by a resampler. 3: RGB. 8: packed 4:2:0 at half size and what is
    told, `PACKED` + `TOLD`, of which `PACKED` come out."""
    damage: Damage = Damage()
    """What is told of streams that have not been told their own."""
    context: Context = Context()
    windows: Sequence[int] = ()
    """Numbers of frames that the network may be shown instead of
    `context`'s; empty where it has no choice."""
    residual: Literal["none", "nearest", "bicubic"] = "none"
    """Which enlargement of the input the engine adds to the output in fp32; bf16
    alone would band 10-bit pictures."""
    halo: int | None = 0
    """Input pixels around a pixel that its result depends on, or packed ones; None where the whole picture counts."""
    size_multiple: int = 1
    """Input height and width, or the packed ones, must be multiples of this; the engine pads and crops."""
    value_range: Literal[1, 255] = 1
    """White: 0–1 or 0–255."""
    dtypes: tuple[str, ...] = ("fp32", "bf16", "fp16")
    """Precisions in which the network keeps its quality."""
    int8_loss: float | None = None
    """dB that int8 costs, where that has been measured."""
    kflop_per_pixel: float = 0.0
    """Thousand floating-point operations (two per multiply-add) per input pixel and emitted frame."""
    bytes_per_pixel: int = 0
    """Memory of a step in fp32 per input pixel, where the widest layer at input size does not tell; else
    0."""
    recordable: bool = True
    """A step is nothing but work on the device, so that it can be recorded and replayed."""
    version: str = "1"
    sha256: str = ""
    """Of the checkpoint's file; empty for a network without weights."""
    network: str = ""
    """What a file was recognised as, such as `EDSR`; empty for a network without one."""
    generative: bool = False
    """Known to paint detail that is not in the source."""
    licence: str = ""
    """Of the weights; empty where that is not known, as of any file given by its path."""
    trained_on: str = ""

    @property
    def out_channels(self) -> int:
        """Of what it gives."""
        return PACKED if self.packs > 1 else self.in_channels

    @property
    def packs(self) -> int:
        """Pixels of the picture, along a side, that are one of what the network sees."""
        return 2 if self.in_channels == PACKED + TOLD else 1


class Network(Protocol):
    """One interface for single-frame, sliding-window, recurrent and bidirectional-chunk networks.

    On a CPU `step` of a network without a state is called from several threads at once.
    """

    def init_state(self, batch: int, height: int, width: int) -> State | None:
        """Make the state that a stream begins with; None for a network without one."""
        ...

    def step(self, frames: Tensor, state: State | None, reset: Tensor) -> tuple[Tensor, State | None]:
        """Enhance the middle frames of a window.

        Args:
            frames: (B, before+emit+after, C, H, W), values 0 to `spec.value_range`; fewer at the end of a
                scene where the context `shortens`.
            state: what the step before gave back, or `init_state`.
            reset: (B,) bool; True where the state must be cleared first.

        Returns:
            (B, emit, C, scale*H, scale*W), and the next state.
        """
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """A network ready for use, with its facts."""

    spec: ModelSpec
    network: Network
    """On the CPU in fp32 and evaluation mode until an engine moves it."""


def with_damage(model: Model, damage: Damage) -> Model:
    """The same model, told how damaged the pictures are that it will see; itself where it cannot be told."""
    return Model(replace(model.spec, damage=damage), model.network) if model.spec.packs > 1 else model
