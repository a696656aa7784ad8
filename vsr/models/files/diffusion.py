"""Upscaling pipelines of diffusers (extra `diffusion`) as networks that enhance a frame on its own.

A folder's `model_index.json` says which pipeline it is; what parts that has is said here. Only
safetensors are read, nothing in the folder is executed, and nothing is fetched. Text that
could guide a pipeline is empty.

All noise comes from the seed and the size of the picture: each frame of a clip begins with the
same, so that equal frames stay equal, and a frame is the same whether it is the first of a run or
the thousandth of a resumed one.
"""

import copy
import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vsr.errors import ModelError, one_line
from vsr.models.files.diffusion_folder import PipelineFolder
from vsr.models.layers.single_frame import SingleFrame
from vsr.models.spec import Model, ModelSpec


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of pipelines."""

    networks: Mapping[str, str]
    """Its networks, by the name of their subfolder; the first makes pictures of latents."""
    schedulers: tuple[str, ...] = ("scheduler",)
    prompt: Mapping[str, Any] | None = None
    """How its empty prompt is encoded; None for a pipeline without text."""
    embeddings: tuple[str, ...] = ()
    """Arguments that take the encoded prompt."""
    signed: bool = False
    """Takes pictures from -1 to 1; the others from 0 to 1."""
    encodes: bool = False
    """Makes latents of the picture first, so that its size counts in theirs."""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


_GUIDED = {"guidance_scale": 1.0}
"""Guidance is the difference that text makes to no text, and there is none:
leaving it out is half the work."""

KINDS: Mapping[str, Kind] = {
    "LDMSuperResolutionPipeline": Kind({"vqvae": "VQModel", "unet": "UNet2DModel"}, signed=True),
    "StableDiffusionUpscalePipeline": Kind(
        {"vae": "AutoencoderKL", "unet": "UNet2DConditionModel"},
        schedulers=("scheduler", "low_res_scheduler"),
        prompt={"num_images_per_prompt": 1},
        embeddings=("prompt_embeds",),
        arguments=_GUIDED,
    ),
    "StableDiffusionLatentUpscalePipeline": Kind(
        {"vae": "AutoencoderKL", "unet": "UNet2DConditionModel"},
        prompt={},
        embeddings=("prompt_embeds", "pooled_prompt_embeds"),
        encodes=True,
        arguments=_GUIDED,
    ),
}
"""By `_class_name` of `model_index.json`."""


class DiffusionNet(SingleFrame):
    """A pipeline around its networks; schedulers count steps, so that each call has its own."""

    def __init__(
        self, pipeline: type, kind: Kind, networks: dict[str, nn.Module], schedulers: dict[str, Any]
    ):
        super().__init__()
        self.parts = nn.ModuleDict(networks)
        self.steps: int = inspect.signature(pipeline.__call__).parameters["num_inference_steps"].default
        self.seed = 0
        self._pipeline, self._kind, self._schedulers = pipeline, kind, schedulers

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), 0 to 1 → (B, 3, scale*H, scale*W)."""
        image = x.clamp(
            0, 1
        )  # pictures of limited range may go beyond, and pipelines guess the range from that
        generators = [torch.Generator().manual_seed(self.seed) for _ in x]
        schedulers = copy.deepcopy(self._schedulers)
        step = schedulers["scheduler"].step
        if "generator" in inspect.signature(step).parameters:  # not every pipeline hands it on
            schedulers["scheduler"].step = partial(step, generator=generators)
        text = {} if self._kind.prompt is None else {"text_encoder": None, "tokenizer": None}
        pipeline = self._pipeline(**dict(self.parts.items()), **schedulers, **text)
        pipeline.set_progress_bar_config(disable=True)
        embeddings = {
            name: self.get_buffer(name).repeat_interleave(len(x), 0) for name in self._kind.embeddings
        }
        return pipeline(
            image=2 * image - 1 if self._kind.signed else image,
            num_inference_steps=self.steps,
            generator=generators,
            output_type="pt",
            **embeddings,
            **self._kind.arguments,
        ).images


def read_pipeline(path: Path) -> Model:
    """Read the folder of an upscaling pipeline.

    Raises:
        ModelError: the folder is none, its pipeline is not one of `KINDS`, something is missing, damaged or
            would have to be executed, or diffusers is not installed.
    """
    folder = PipelineFolder(path)
    kind = KINDS.get(folder.class_name)
    if kind is None:
        raise ModelError(f"{folder.name} is a {folder.class_name}; {', '.join(KINDS)} are accepted")
    for library in ("diffusers", *(() if kind.prompt is None else ("transformers",))):
        if not importlib.util.find_spec(library):
            raise ModelError(f"{folder.name} needs {library} (pip install 'vsr[diffusion]')")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is its own affair
        network = _read(folder, kind)
        multiple = _multiple(network, kind)
        scale, cost = _tried(network, multiple, folder.name)
    spec = ModelSpec(
        name=folder.name,
        scale=scale,
        in_channels=3,
        halo=None,
        size_multiple=multiple,
        dtypes=("fp32", "fp16"),
        kflop_per_pixel=cost,
        bytes_per_pixel=_bytes_per_pixel(network, scale),
        recordable=False,
        generative=True,
        sha256=folder.sha256(),
        network=folder.class_name,
    )
    return Model(spec, network)


def _read(folder: PipelineFolder, kind: Kind) -> DiffusionNet:
    diffusers = importlib.import_module("diffusers")
    for library in (diffusers, *([] if kind.prompt is None else [importlib.import_module("transformers")])):
        library.utils.logging.set_verbosity(50)  # what is wrong is told by errors
        library.utils.logging.disable_progress_bar()
    networks = {part: folder.network(part, "diffusers", name) for part, name in kind.networks.items()}
    schedulers = {part: folder.scheduler(part) for part in kind.schedulers}
    pipeline = getattr(diffusers, folder.class_name)
    network = DiffusionNet(pipeline, kind, networks, schedulers)
    if kind.prompt is not None:
        tokenizer = folder.tokenizer("tokenizer", "CLIPTokenizer")
        encoder = folder.network("text_encoder", "transformers", "CLIPTextModel")
        whole = pipeline(**networks, **schedulers, text_encoder=encoder, tokenizer=tokenizer)
        with torch.inference_mode():
            encoded = whole.encode_prompt("", "cpu", do_classifier_free_guidance=False, **kind.prompt)
        for name, tensor in zip(
            kind.embeddings, encoded[::2], strict=True
        ):  # between them what guidance would want
            network.register_buffer(name, tensor.clone())
    return network.eval()


def _halvings(network: DiffusionNet) -> tuple[int, int]:
    """How often the decoder doubles height and width, and the denoiser halves them."""
    vae, unet = (_channels(part) for part in network.parts.values())
    return len(vae) - 1, len(unet) - 1


def _channels(part: Any) -> list[int]:
    return list(part.config["block_out_channels"])


def _multiple(network: DiffusionNet, kind: Kind) -> int:
    """What height and width must be multiples of."""
    vae, unet = _halvings(network)
    return 2 ** (vae + unet) if kind.encodes else 2 ** max(vae, unet)


def _tried(network: DiffusionNet, multiple: int, name: str) -> tuple[int, float]:
    """Scale, and cost as `ModelSpec` wants it, by running it on the smallest
    picture with one step and with two."""
    operations, steps, out = [], network.steps, torch.empty(0)
    try:
        for network.steps in (1, 2):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                out = network(torch.full((1, 3, multiple, multiple), 0.5))
            operations.append(counter.get_total_flops())
    except Exception as error:  # parts that do not fit each other fail in any way
        raise ModelError(f"the parts of {name} do not fit each other: {one_line(error)}") from None
    network.steps = steps
    scale = out.shape[-1] // multiple
    if scale < 1 or out.shape != (1, 3, scale * multiple, scale * multiple):
        raise ModelError(
            f"{name} makes {tuple(out.shape)} of {multiple}x{multiple} pixels; it is no enlarger"
        )
    each = operations[1] - operations[0]
    return scale, (operations[0] + (steps - 1) * each) / multiple**2 / 1000


def _bytes_per_pixel(network: DiffusionNet, scale: int) -> int:
    """Memory where the decoder is widest: four tensors of fp32; its layers see finer and finer pixels."""
    finest, _ = _halvings(network)
    channels = _channels(next(iter(network.parts.values())))[::-1]
    widest = max(count * 4 ** min(place + 1, finest) for place, count in enumerate(channels))
    return int(4 * 4 * widest * (scale / 2**finest) ** 2)


def is_diffusion(model: Model) -> bool:
    """Whether `sampled` takes it."""
    return isinstance(model.network, DiffusionNet)


def with_sampling(model: Model, *, steps: int, seed: int) -> Model:
    """The same pipeline with other steps (0 for its own) and another seed; the weights are shared."""
    network = model.network
    assert isinstance(network, DiffusionNet)
    other = copy.copy(network)
    other.steps, other.seed = steps or network.steps, seed
    cost = model.spec.kflop_per_pixel * other.steps / network.steps
    name = f"{model.spec.name} (steps {other.steps}, seed {seed})"
    return Model(replace(model.spec, name=name, kflop_per_pixel=cost), other)
