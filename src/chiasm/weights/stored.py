"""`Stored`: a model as it lies on disk, ours or somebody else's, told in our words."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from chiasm.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from and how good it was.

    Attributes:
        card: in words; empty where nothing was written down.
        metrics: figures, name to value.
    """

    card: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


class Stored(ABC):
    """What is needed to build a model and fill in its weights.

    Attributes:
        model: name of the kind of model, as in `chiasm.models`.
        config: what that kind is built from.
    """

    model: str
    config: Mapping[str, Any]

    @property
    @abstractmethod
    def name(self) -> str:
        """How a person calls it: a path, or the name on a hub."""

    @property
    @abstractmethod
    def layout(self) -> str:
        """In which layout its files are: `chiasm` for ours, else a name among `weights.layouts`."""

    @abstractmethod
    def origin(self) -> Origin:
        """Where it came from, as far as its files tell."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Of the content of the weights; to tell it may mean to read them."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever answers could; vectors of different fingerprints do not mix."""
        identity = json.dumps([self.model, self.config, self.digest], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Read the weights, under the names that the model has for them.

        Raises:
            InputError: a file is missing or damaged.
        """

    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers in the files of weights; of safetensors files only the headers are read.

        Raises:
            InputError: a file is missing or damaged.
        """

    @abstractmethod
    def tokenizer(self) -> str:
        """The tokenizer of a model that reads text: the JSON text that the library `tokenizers` reads.

        Raises:
            InputError: there is none, or it cannot be read.
        """


def file_sha256(path: Path) -> str:
    """Digest of a file of weights.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights at {path}", f"they cannot be read ({error.strerror})", "copy them again") from None
