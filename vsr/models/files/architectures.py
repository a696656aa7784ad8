"""The explicit list of networks that checkpoints are known for, and what the spec says of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from vsr.models.layers.bidirectional import chunk_facts
from vsr.models.layers.facts import facts_of, summed
from vsr.models.networks.basicvsr import BasicVsr, basicvsr_parameters, generator_keys
from vsr.models.networks.basicvsrpp import BasicVsrPp, basicvsrpp_parameters
from vsr.models.networks.compact import CompactNet, compact_parameters
from vsr.models.networks.deblurgan import DeblurGan, deblurgan_facts, deblurgan_keys, deblurgan_parameters
from vsr.models.networks.edsr import EdsrNet, edsr_keys, edsr_parameters
from vsr.models.networks.edvr import Edvr, edvr_facts, edvr_parameters
from vsr.models.networks.espcn import EspcnNet, espcn_keys, espcn_parameters
from vsr.models.networks.fsrcnn import FsrcnnNet, fsrcnn_parameters
from vsr.models.networks.plain import PlainNet, plain_parameters
from vsr.models.networks.planes import PlanesNet, planes_facts, planes_parameters
from vsr.models.networks.realbasicvsr import RealBasicVsr, realbasicvsr_parameters
from vsr.models.networks.recurrent import NEIGHBOURS, RecurrentNet, recurrent_parameters
from vsr.models.networks.rlsp import Rlsp, rlsp_facts, rlsp_parameters
from vsr.models.networks.rrdb import RrdbNet, rrdb_facts, rrdb_keys, rrdb_parameters
from vsr.models.networks.rrn import Rrn, rrn_facts, rrn_parameters
from vsr.models.networks.safmn import SafmnNet, safmn_facts, safmn_parameters
from vsr.models.networks.span import SpanNet, span_keys, span_parameters
from vsr.models.networks.srcnn_vdsr import (
    SrcnnNet,
    VdsrNet,
    enlarged_facts,
    srcnn_parameters,
    vdsr_parameters,
)
from vsr.models.networks.srgan import SrganNet, srgan_keys, srgan_parameters
from vsr.models.networks.srresnet import SrResNet, srresnet_parameters
from vsr.models.networks.swinir import SwinIr, swinir_facts, swinir_keys, swinir_parameters
from vsr.models.networks.unet import UNet, unet_facts, unet_parameters


def _as_they_are(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that checkpoints are known for."""

    name: str
    build: Callable[..., nn.Module]
    parameters: Callable[[dict[str, Tensor]], dict[str, Any] | None]
    """The arguments of `build` as told by the tensors; None where the layout is another."""
    residual: Literal["none", "nearest", "bicubic"]
    facts: Callable[[nn.Module, int], dict[str, Any]]
    """What else the spec says of such a network, which takes so many colours:
    reach, cost, neighbours, precisions."""
    keys: Callable[[dict[str, Tensor]], dict[str, Tensor]] = _as_they_are
    """The tensors of any published layout under the names that `build`'s network gives them."""
    any_scale: bool = False
    """The tensors do not tell the scale: `build` takes the one that is wanted."""


def _stack_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Facts of a plain stack of convolutions at input size."""
    convolutions = [weight for weight in network.parameters() if weight.ndim == 4]
    return {
        "halo": sum(weight.shape[-1] // 2 for weight in convolutions),
        "kflop_per_pixel": 2 * sum(weight.numel() for weight in convolutions) / 1000,
    }


def _plain_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    assert isinstance(network, PlainNet)
    calibrated: dict[str, Any] = {"dtypes": ("fp32", "bf16", "fp16", "int8")} if network.ranges.all() else {}
    return _stack_facts(network, colors) | calibrated


def _recurrent_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    return _stack_facts(network, colors) | {"context": NEIGHBOURS}


def _whole_stack_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """The same as `_whole_facts` of a stack at input size, summed: leading a picture through loads a compiler."""
    return _stack_facts(network, colors) | {"dtypes": ("fp32", "fp16")}


def _whole_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Facts of a network that gives the picture itself, which bf16 would round to eight bits."""
    return facts_of(network, colors=colors) | {"dtypes": ("fp32", "fp16")}


def _residual_facts(network: nn.Module, colors: int) -> dict[str, Any]:
    """Facts of residual blocks and what enlarges after them; they give the picture itself."""
    assert isinstance(network, EdsrNet | SrResNet)
    finer, tail = 1, dict[nn.Module, int]()
    for layer, shuffle, _ in network.enlarging():
        tail[layer] = finer
        finer *= shuffle
    convolutions = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return summed((layer, tail.get(layer, 1)) for layer in convolutions) | {"dtypes": ("fp32", "fp16")}


ARCHITECTURES = (
    Architecture(
        "compact (Real-ESRGAN's SRVGGNetCompact)", CompactNet, compact_parameters, "nearest", _stack_facts
    ),
    Architecture("plain (vsr's own)", PlainNet, plain_parameters, "bicubic", _plain_facts),
    Architecture("planes (vsr's own)", PlanesNet, planes_parameters, "bicubic", planes_facts, any_scale=True),
    Architecture("recurrent (vsr's own)", RecurrentNet, recurrent_parameters, "bicubic", _recurrent_facts),
    Architecture("U-Net (vsr's own)", UNet, unet_parameters, "bicubic", unet_facts),
    Architecture("VDSR", VdsrNet, vdsr_parameters, "bicubic", enlarged_facts, any_scale=True),
    Architecture("SRCNN", SrcnnNet, srcnn_parameters, "bicubic", enlarged_facts, any_scale=True),
    Architecture("FSRCNN", FsrcnnNet, fsrcnn_parameters, "none", _whole_facts, any_scale=True),
    Architecture("ESPCN", EspcnNet, espcn_parameters, "none", _whole_stack_facts, espcn_keys),
    Architecture("EDSR", EdsrNet, edsr_parameters, "none", _residual_facts, edsr_keys),
    Architecture("SRResNet", SrResNet, srresnet_parameters, "none", _residual_facts),
    Architecture(
        "SRGAN, with batch normalisation", SrganNet, srgan_parameters, "none", _whole_facts, srgan_keys
    ),
    Architecture("RRDB (ESRGAN, Real-ESRGAN)", RrdbNet, rrdb_parameters, "none", rrdb_facts, rrdb_keys),
    Architecture("SPAN", SpanNet, span_parameters, "none", _whole_stack_facts, span_keys),
    Architecture("SAFMN", SafmnNet, safmn_parameters, "none", safmn_facts),
    Architecture("DeblurGAN-v2", DeblurGan, deblurgan_parameters, "bicubic", deblurgan_facts, deblurgan_keys),
    Architecture("SwinIR", SwinIr, swinir_parameters, "none", swinir_facts, swinir_keys),
    Architecture("BasicVSR", BasicVsr, basicvsr_parameters, "bicubic", chunk_facts, generator_keys),
    Architecture("BasicVSR++", BasicVsrPp, basicvsrpp_parameters, "bicubic", chunk_facts, generator_keys),
    Architecture(
        "RealBasicVSR", RealBasicVsr, realbasicvsr_parameters, "bicubic", chunk_facts, generator_keys
    ),
    Architecture("EDVR", Edvr, edvr_parameters, "bicubic", edvr_facts),
    Architecture("RLSP", Rlsp, rlsp_parameters, "bicubic", rlsp_facts),
    Architecture("RRN", Rrn, rrn_parameters, "bicubic", rrn_facts),
)
