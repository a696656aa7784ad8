"""Option files by name: those that come with vsr, or a user's own by its path."""

from pathlib import Path

import vsr
from vsr.errors import ConfigError

PRESETS = ("archive-film", "dv", "old-web", "vhs-ntsc", "vhs-pal")
"""What `--config` takes by name; each is `configs/NAME.toml`, with a reason for every choice in it."""


def find_config(text: str) -> Path:
    """Return the option file that is meant by a path or a name.

    Raises:
        ConfigError: there is none.
    """
    path = Path(text)
    if path.is_file():
        return path
    if text in PRESETS:
        return _folder() / f"{text}.toml"
    names = ", ".join(PRESETS)
    expected = f"a TOML file such as configs/enhance.toml, or {names} is expected"
    what = "is no file" if path.exists() else "does not exist"
    raise ConfigError(f"config {text!r} {what}; {expected}")


def _folder() -> Path:
    """Inside the package where that was installed as a wheel, beside it in a working copy."""
    package = Path(vsr.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"
