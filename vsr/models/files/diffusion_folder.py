"""Reading the parts of a diffusers pipeline from its folder: JSON and
safetensors, by classes that the caller names."""

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vsr.durable import sha256_of
from vsr.errors import ModelError, one_line

INDEX = "model_index.json"


class PipelineFolder:
    """A folder as `save_pretrained` of a pipeline makes it.

    Raises:
        ModelError: there is no index, here, or a part is missing or damaged or another
            than the one asked for, in the methods.
    """

    def __init__(self, path: Path):
        self.path, self.name = path, path.resolve().name
        if not (path / INDEX).is_file():
            raise ModelError(
                f"{path} is a folder without {INDEX}; that of a diffusers pipeline, or a file, is expected"
            )
        self._index = self._json(path / INDEX)
        self.class_name = str(self._index.get("_class_name"))
        """Of the pipeline."""

    def network(self, part: str, library: str, class_name: str) -> nn.Module:
        """Read a network of that class, in fp32 and evaluation mode."""
        folder = self._part(part, library, class_name)
        weights = list(folder.glob("*.safetensors"))
        if not weights:
            raise ModelError(
                f"{self.name}: {part} holds no .safetensors file; other kinds could run code when read"
            )
        made: Any = getattr(importlib.import_module(library), class_name)
        try:
            self._check_size(part, made, sum(path.stat().st_size for path in weights))
            network, info = made.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                variant=None if any(".fp16." not in path.name for path in weights) else "fp16",
                low_cpu_mem_usage=False if library == "diffusers" else None,
                output_loading_info=True,
            )
        except ModelError:
            raise
        except Exception as error:  # every library has its own ways to fail on a damaged file
            raise ModelError(f"{self.name}: {part} cannot be read: {one_line(error)}") from None
        missing = sorted(info["missing_keys"])
        if missing:
            raise ModelError(
                f"{self.name}: {part} lacks {missing[0]}"
                + f" and {len(missing) - 1} more" * (len(missing) > 1)
            )
        for key, value in network.state_dict().items():
            if value.is_floating_point() and not value.isfinite().all():
                raise ModelError(f"{self.name}: {part} is damaged: {key} holds values that are no numbers")
        return network.float().eval().requires_grad_(False)

    def scheduler(self, part: str) -> Any:
        """Read a scheduler of whichever class of diffusers the index names."""
        diffusers = importlib.import_module("diffusers")
        _, class_name = self._listed(part)
        made = getattr(diffusers, class_name, None)
        if not (isinstance(made, type) and issubclass(made, diffusers.SchedulerMixin)):
            raise ModelError(f"{self.name}: {part} is {class_name}, which is no scheduler of diffusers")
        try:
            return made.from_config(
                self._json(self._part(part, "diffusers", class_name) / "scheduler_config.json")
            )
        except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
            raise ModelError(f"{self.name}: {part} cannot be read: {one_line(error)}") from None

    def tokenizer(self, part: str, class_name: str) -> Any:
        """Read a tokenizer of transformers."""
        folder = self._part(part, "transformers", class_name)
        made: Any = getattr(importlib.import_module("transformers"), class_name)
        try:
            return made.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # as above
            raise ModelError(f"{self.name}: {part} cannot be read: {one_line(error)}") from None

    def sha256(self) -> str:
        """One fingerprint for the index and all that lies in the subfolders: names and contents."""
        digest = hashlib.sha256()
        for path in sorted(
            [self.path / INDEX, *self.path.glob("*/*.json"), *self.path.glob("*/*.safetensors")]
        ):
            digest.update(f"{path.relative_to(self.path).as_posix()} {sha256_of(path)}\n".encode())
        return digest.hexdigest()

    def _listed(self, part: str) -> tuple[str, str]:
        match self._index.get(part):
            case [str(library), str(class_name)]:
                return library, class_name
            case _:
                raise ModelError(f"{self.name}: {INDEX} lists no {part}")

    def _part(self, part: str, library: str, class_name: str) -> Path:
        listed = self._listed(part)
        if listed != (library, class_name):
            raise ModelError(f"{self.name}: {part} is {'.'.join(listed)}; {library}.{class_name} is expected")
        if not (self.path / part).is_dir():
            raise ModelError(f"{self.name}: the subfolder {part} is missing")
        return self.path / part

    def _json(self, path: Path) -> dict[str, Any]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{self.name}: {path.name} cannot be read: {one_line(error)}") from None
        if not isinstance(content, dict):
            raise ModelError(f"{self.name}: {path.name} holds no table")
        return content

    def _check_size(self, part: str, made: Any, num_bytes: int) -> None:
        """Hold what the settings claim against the size of the files, before
        anything of that size is made."""
        settings = self._json(self.path / part / "config.json")
        with torch.device("meta"):
            shadow = (
                made.from_config(settings)
                if hasattr(made, "from_config")
                else made(made.config_class(**settings))
            )
        claimed = sum(weight.numel() for weight in shadow.parameters())
        if claimed > num_bytes:
            raise ModelError(
                f"{self.name}: {part} claims {claimed} numbers, and its files have {num_bytes} bytes"
            )
