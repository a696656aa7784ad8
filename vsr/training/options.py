"""Options of training: frozen dataclasses whose fields are the keys of `configs/train-*.toml` and the flags.

A field's docstring is its help text.
"""

from dataclasses import dataclass, field
from typing import Literal

from vsr.errors import ConfigError
from vsr.options import at_least


@dataclass(frozen=True)
class LossOptions:
    """Weights of what a network in training is judged by; 0 leaves a loss out."""

    charbonnier: float = 1.0
    """Smooth L1 of the pixels, the one for fidelity."""
    l1: float = 0.0
    """L1 of the pixels."""
    fft: float = 0.0
    """L1 of the spectra: sharper edges; 0.05 to 0.1 beside charbonnier."""
    perceptual: float = 0.0
    """L1 of VGG19's features; needs vgg."""
    vgg: str = ""
    """File with VGG19's weights in torchvision's layout (vgg19-*.pth)."""
    adversarial: float = 0.0
    """How real a critic that learns beside the network finds the pictures: texture for fidelity; 0.001 to
    0.005."""
    feature_matching: float = 0.0
    """L1 of the critic's own features, which does for want of vgg; needs adversarial."""
    temporal: float = 0.0
    """L1 of the changes from frame to frame, against flicker; nothing for single pictures."""
    critic_channels: int = 64
    """Width of the critic at full size."""
    critic_learning_rate: float = 1e-4
    """Of the critic's Adam, constant."""

    def __post_init__(self) -> None:
        at_least(1, critic_channels=self.critic_channels)
        weights = (self.charbonnier, self.l1, self.fft, self.perceptual, self.adversarial, self.temporal)
        if min(*weights, self.feature_matching) < 0 or self.critic_learning_rate <= 0:
            raise ConfigError("weights of losses must be 0 or more, critic_learning_rate above 0")
        if not any(weights):
            raise ConfigError("no loss has a weight; charbonnier = 1 is the usual one")
        if self.perceptual and not self.vgg:
            raise ConfigError("perceptual needs vgg, a file with VGG19's weights in torchvision's layout")
        if self.feature_matching and not self.adversarial:
            raise ConfigError(
                "feature_matching compares the critic's features, and there is a critic with adversarial"
            )


@dataclass(frozen=True)
class TrainOptions:
    """Everything `vsr train` can be told."""

    out: str
    """Checkpoint to write, NAME.safetensors; the state for resuming lies beside it as NAME.state.pt."""
    data: tuple[str, ...] = ()
    """Folders of pictures, searched with their sub-folders (DIV2K, Flickr2K, plain folders)."""
    clips: tuple[str, ...] = ()
    """Video files, or folders of them or of frames, one folder a clip (Vimeo-90K, REDS, DAVIS)."""
    shrink: float = 1.0
    """Reduce video files by this first, 2 or more: they are compressed, and the
    network would learn the artefacts."""
    low: tuple[str, ...] = ()
    """Folders of reduced twins of the pictures, by name; empty to make them as `degradation` says."""
    start_from: str = ""
    """Model or checkpoint to begin with: the layers that fit, or a narrower
    network grown to this one's width."""
    network: Literal["plain", "recurrent", "unet", "planes", "planes-over-time"] = "plain"
    """One frame in; three frames and a memory; a U-Net at scale 1 with up to three frames; one frame's luma
    and chroma, and how damaged it is, for real footage; the same of an average over time and the frames around."""
    channels: int = 16
    """Width of the hidden layers; of the U-Net's first level; of planes at half size, below twice as many."""
    depth: int = 4
    """Hidden layers between head and tail; blocks of planes at a quarter of the size; the U-Net's is fixed."""
    colors: Literal[1, 3] = 1
    """1: luma alone. 3: RGB."""
    scale: Literal[1, 2, 3, 4] = 2
    """Enlargement that is learnt."""
    scale_shares: tuple[float, ...] = ()
    """Of planes, which can learn several: how often each of x1, x2, x3 and x4 is learnt; 0 leaves one out. Empty
    for `scale` alone."""
    degradation: Literal["bicubic", "real", "blur"] = "bicubic"
    """How pictures are made worse: reduced; also blurred, noisy and
    compressed; or blurred by motion and focus."""
    teacher: str = ""
    """Model or checkpoint, on single frames in R, G, B, whose pictures are learnt instead of the originals, by
    planes: what it paints is painted."""
    frames: int = 8
    """Frames that a recurrent network is trained through at a time."""
    renew: int = 0
    """Steps after which new examples are made of the same pictures; 0 for never."""
    steps: int = 60_000
    """Optimizer steps."""
    batch: int = 16
    """Patches a step."""
    patch: int = 48
    """Edge of a patch, in low-resolution pixels."""
    learning_rate: float = 5e-3
    """Peak of the cosine schedule (AdamW)."""
    weight_decay: float = 0.0
    """Of AdamW."""
    beta2: float = 0.999
    """Decay of AdamW's mean of squared gradients."""
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    warmup: int = 500
    """Steps over which the learning rate rises."""
    ema: float = 0.999
    """Decay of the running mean of the weights, which is what is saved."""
    losses: LossOptions = field(default_factory=LossOptions)
    """What the network is judged by."""
    validate: tuple[str, ...] = ()
    """Folders of pictures to measure PSNR on as training goes on; they are made worse as the others are."""
    validate_every: int = 5000
    """Steps between such measurements; samples of them, or of a patch without any, lie in
    NAME.log/samples."""
    seed: int = 0
    """Start of every random number."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the network's forward and backward pass, the weights and losses stay
    fp32; `auto`: bf16 where it is fast."""
    threads: int = 0
    """CPU threads; 0 for all cores."""
    checkpoint_every_s: float = 60.0
    """Seconds between saves of the state."""

    def __post_init__(self) -> None:
        at_least(
            1, channels=self.channels, depth=self.depth, steps=self.steps, batch=self.batch, patch=self.patch
        )
        at_least(0, threads=self.threads, warmup=self.warmup, seed=self.seed, renew=self.renew)
        at_least(1, validate_every=self.validate_every)
        at_least(2, frames=self.frames)
        if not self.out.endswith(".safetensors"):
            raise ConfigError(f"out {self.out!r} must end in .safetensors")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema {self.ema} is out of range; 0 to below 1 is accepted")
        if min(self.learning_rate, self.clip) <= 0 or min(self.weight_decay, self.checkpoint_every_s) < 0:
            raise ConfigError(
                "learning_rate and clip must be above 0, weight_decay and checkpoint_every_s 0 or more"
            )
        if not 0 <= self.beta2 < 1:
            raise ConfigError(f"beta2 {self.beta2} is out of range; 0 to below 1 is accepted")
        if self.shrink < 1:
            raise ConfigError(f"shrink {self.shrink:g} would enlarge; 1 or more is accepted")
        self._check_network()
        self._check_planes()
        self._check_losses()

    @property
    def on_planes(self) -> bool:
        """Whether the network sees luma and chroma as they are coded."""
        return self.network in ("planes", "planes-over-time")

    @property
    def shares(self) -> dict[int, float]:
        """The scales that are learnt, and how often each is, 1 in all."""
        if not self.scale_shares:
            return {self.scale: 1.0}
        total = sum(self.scale_shares)
        return {scale: share / total for scale, share in enumerate(self.scale_shares, 1) if share}

    def _check_network(self) -> None:
        """Options that only make sense together."""
        if (self.network == "unet" or self.degradation == "blur") and self.scale != 1:
            raise ConfigError(f"scale {self.scale} is not for deblurring, which keeps the size; scale 1 is")
        if self.network == "unet" and self.patch % 8:
            raise ConfigError(f"patch {self.patch} does not suit the unet; a multiple of 8 does")
        if self.network == "recurrent" and (self.degradation == "blur" or self.low):
            raise ConfigError(
                "a recurrent network learns from clips or moved pictures; neither blur nor low goes with it"
            )
        if self.low and (self.clips or self.network != "plain"):
            raise ConfigError("low goes with pictures (data) and a plain network alone")

    def _check_planes(self) -> None:
        """What goes with networks on planes alone, and what does not."""
        shares = self.scale_shares
        if shares and (not self.on_planes or len(shares) != 4 or min(shares) < 0 or not sum(shares)):
            raise ConfigError(
                f"scale_shares {', '.join(map(str, shares))}: four numbers are accepted, for x1, x2, x3 and x4, "
                "none below 0 and not all of them 0, and a network of planes alone learns several"
            )
        if self.teacher and not self.on_planes:
            raise ConfigError(f"teacher teaches planes alone, not {self.network}")
        if not self.on_planes:
            return
        if self.patch % 4:
            raise ConfigError(f"patch {self.patch} does not suit planes; a multiple of 4 does")
        if self.degradation != "real":
            raise ConfigError(
                f"degradation {self.degradation} is not for planes, which learn from real alone"
            )
        if self.losses.perceptual:
            raise ConfigError("perceptual compares pictures in RGB; planes have none")

    def _check_losses(self) -> None:
        """Losses that need pictures of some size, or several of them."""
        edge = self.patch * self.scale
        seen = [self.patch * scale // (2 if self.on_planes else 1) for scale in self.shares]
        if self.losses.adversarial and (unfit := [side for side in seen if side % 8]):
            raise ConfigError(
                f"patch {self.patch} gives the critic {unfit[0]} pixels; it needs a multiple of 8"
            )
        if self.losses.perceptual and edge < 16:
            raise ConfigError(f"patch {self.patch} gives VGG19 {edge} pixels; it needs 16 or more")
        if self.losses.temporal and self.network != "recurrent":
            raise ConfigError(
                "temporal judges changes between frames; a recurrent network alone gives several"
            )
