"""What a film costs: hours, electricity and money, from the frames per second that were measured."""

from dataclasses import dataclass

from vsr.errors import ConfigError

WATTS_A_CORE = 15.0
"""Of the whole machine for each core at work: about 1 kW for a server with 64 of them, 120 W for a desktop with 8."""


@dataclass(frozen=True)
class FilmOptions:
    """A film, and what electricity costs."""

    film: float = 0.0
    """Minutes of a film: also say what it would cost to enhance. 0: do not."""
    film_fps: float = 25.0
    """Its frames per second."""
    watts: float = 0.0
    """What the whole machine draws at work. Default: 15 for each core; on a GPU it must be named."""
    price: float = 0.30
    """Of a kWh, in euros."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < 1e6:
                raise ConfigError(f"{name.replace('_', '-')} {value:g}: numbers from 0 on are accepted")
        if self.film and not self.film_fps:
            raise ConfigError("film-fps 0: a film has more than that")

    @property
    def num_frames(self) -> int:
        return round(self.film * 60 * self.film_fps)

    def watts_of(self, device: str, cores: int) -> float:
        """What was named, or what the rule says of a machine.

        Raises:
            ConfigError: nothing was named for a GPU.
        """
        if not self.watts and device != "cpu":
            raise ConfigError("film: name by --watts what the machine draws with its GPU at work")
        return self.watts or cores * WATTS_A_CORE


@dataclass(frozen=True, slots=True)
class FilmCost:
    """What a whole film costs."""

    hours: float
    kwh: float
    euros: float


def film_cost(options: FilmOptions, fps: float, watts: float) -> FilmCost:
    """From frames per second, end to end, and what the machine draws meanwhile."""
    hours = options.num_frames / fps / 3600
    kwh = hours * watts / 1000
    return FilmCost(hours, kwh, kwh * options.price)
