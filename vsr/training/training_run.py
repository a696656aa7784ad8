"""Everything that changes from step to step of a run: saved, taken up again as if nothing had happened."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from vsr.durable import whole
from vsr.errors import ConfigError
from vsr.models import PACKED, PlanesNet
from vsr.training.critic import Critic
from vsr.training.networks import Trained, Unrolled, build
from vsr.training.options import TrainOptions
from vsr.training.processes import ProcessGroup
from vsr.training.vgg import VggFeatures, load_vgg
from vsr.training.warm_start import take_over

_MAY_CHANGE = {"out", "device", "threads", "checkpoint_every_s", "validate", "validate_every"}
"""Options that may differ when a run is taken up again."""


@dataclass(frozen=True)
class Rival:
    """The critic of an adversarial run, and how it learns."""

    critic: Critic
    learner: Critic
    """The critic, as the processes share it."""
    optimizer: Optimizer


@dataclass(frozen=True)
class TrainingRun:
    """What learns, and what it belongs to."""

    key: dict[str, object]
    """What must agree for a state to be taken up; the number of steps too, since the schedule hangs on it."""
    net: Trained
    mean: Trained
    """The running mean of the weights, which is what is published."""
    learner: nn.Module
    """The network over clips, as the processes share it."""
    optimizer: Optimizer
    rival: Rival | None
    """None without an adversarial loss."""
    vgg: VggFeatures | None
    """What a perceptual loss compares by; never changes."""
    device: torch.device

    def _parts(self) -> dict[str, nn.Module | Optimizer]:
        parts: dict[str, nn.Module | Optimizer] = {
            "net": self.net,
            "mean": self.mean,
            "optimizer": self.optimizer,
        }
        if self.rival is not None:
            parts |= {"critic": self.rival.critic, "critic_optimizer": self.rival.optimizer}
        return parts

    def save(self, path: Path, step: int) -> None:
        """Write the state after `step` steps, whole or not at all."""
        states = {name: part.state_dict() for name, part in self._parts().items()}
        with whole(path) as part:
            torch.save({"step": step, "key": self.key} | states, part)

    def resume(self, path: Path) -> int:
        """Load the state if there is one; returns the step to go on with.

        Raises:
            ConfigError: the state belongs to a run with other options or pictures.
        """
        if not path.exists():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        changed = [name for name, value in self.key.items() if state["key"].get(name) != value]
        if changed:
            raise ConfigError(
                f"{path} belongs to a run with other {', '.join(changed)}; remove it to begin anew, or name another out"
            )
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        return int(state["step"])


def begin(options: TrainOptions, paths: list[Path], crew: ProcessGroup) -> TrainingRun:
    """Make a run's networks and optimizers, on the process's device.

    Raises:
        ModelError: there is nothing to start from in the model named, or the file named as VGG19 is another.
    """
    torch.manual_seed(options.seed)
    net, mean = build(options), build(options)
    if options.start_from:
        take_over(net, options.start_from, seed=options.seed)
    mean.load_state_dict(net.state_dict())
    _place(net, crew.device)
    mean.to(crew.device)
    key: dict[str, object] = {
        name: value for name, value in asdict(options).items() if name not in _MAY_CHANGE
    }
    key["data"] = hashlib.sha256("\n".join(path.name for path in paths).encode()).hexdigest()
    rival = _rival(options, crew) if options.losses.adversarial else None
    vgg = load_vgg(Path(options.losses.vgg)).to(crew.device) if options.losses.perceptual else None
    betas, decay = (0.9, options.beta2), options.weight_decay
    optimizer = AdamW(net.parameters(), betas=betas, weight_decay=decay, fused=True)
    learner = crew.share(Unrolled(net), in_parts=isinstance(net, PlanesNet))
    return TrainingRun(key, net, mean, learner, optimizer, rival, vgg, crew.device)


def _rival(options: TrainOptions, crew: ProcessGroup) -> Rival:
    colors = PACKED if options.on_planes else options.colors
    critic = Critic(colors=colors, channels=options.losses.critic_channels)
    _place(critic, crew.device)
    rate, betas = options.losses.critic_learning_rate, (0.9, 0.99)  # Real-ESRGAN's
    optimizer = Adam(critic.parameters(), lr=rate, betas=betas, fused=True)
    return Rival(critic, crew.share(critic), optimizer)


def _place(network: nn.Module, device: torch.device) -> None:
    network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] — missing in torch's stubs
