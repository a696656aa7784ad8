"""A Dockerfile as its steps, and as a script that takes them in a copy of this machine's files, without Docker."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Image:
    """What the steps of a Dockerfile come to."""

    args: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    copied: list[str] = field(default_factory=list)
    """Of the files beside it."""
    script: list[str] = field(default_factory=list)
    """Shell; `$root` is where the image's files lie."""
    user: str = "root"
    words: dict[str, list[str]] = field(default_factory=dict)
    """ENTRYPOINT and CMD."""


def steps(text: str) -> list[tuple[str, str]]:
    """Instructions with what stands behind them."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, rest in (line.strip().split(None, 1) for line in found)]


def image_of(path: Path, args: Mapping[str, str] = {}) -> Image:
    """Read a Dockerfile; its stages share one root."""
    image = Image()
    for word, rest in steps(path.read_text()):
        if word == "ARG":
            name, _, default = rest.partition("=")
            image.args[name] = args.get(name, default)
        elif word == "ENV":
            for name, value in (each.split("=", 1) for each in shlex.split(rest)):
                image.env[name] = value
        elif word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            image.copied += sources
            image.script += [
                f'mkdir -p "$root{target}"',
                *(_copy(path.parent, each, target) for each in sources),
            ]
        elif word == "RUN":
            known = "; ".join(f"{name}={shlex.quote(value)}" for name, value in image.args.items())
            image.script.append(f'chroot "$root" /bin/sh -ec {shlex.quote(f"{known}; {rest}")}')
        elif word == "USER":
            image.user = re.sub(r"\$\{(\w+)\}", lambda match: image.args[match[1]], rest)
        elif word in ("ENTRYPOINT", "CMD"):
            image.words[word] = json.loads(rest)
    return image


def _copy(context: Path, source: str, target: str) -> str:
    inside = "/." if (context / source).is_dir() else ""
    return f'cp -r {shlex.quote(str(context / source))}{inside} "$root{target}"'


def in_the_image(image: Image, command: str) -> str:
    """A line of shell that has the image's user run a command in it."""
    env = "; ".join(f'export {name}="{value}"' for name, value in image.env.items())
    return f'chroot --userspec={image.user} "$root" /bin/sh -ec {shlex.quote(f"cd /data; {env}; {command}")}'


def begin(scratch: Path) -> list[str]:
    """Lines that make `$root` of this machine's files, written to memory alone; in a mount namespace of its own."""
    return [
        "set -e; export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"scratch={shlex.quote(str(scratch))}; root=$scratch/root",
        "mount -t tmpfs -o size=8G tmpfs $scratch; mkdir $scratch/upper $scratch/work $root",
        "mount -t overlay overlay -o lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work $root",
        "mount -t proc proc $root/proc; mount --rbind /dev $root/dev; mount -t tmpfs tmpfs $root/tmp",
    ]
