"""`Stored`: a model as it lies on disk, ours or somebody else's, told in our words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


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
    def fingerprint(self) -> str:
        """Changes whenever answers could; vectors of different fingerprints do not mix."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Read the weights, under the names that the model has for them.

        Raises:
            InputError: a file is missing or damaged.
        """

    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers in the weights, read from the headers of the files alone.

        Raises:
            InputError: a file is missing or damaged.
        """

    @abstractmethod
    def tokenizer(self) -> str:
        """The tokenizer of a model that reads text: the JSON text that the library `tokenizers` reads.

        Raises:
            InputError: there is none, or it cannot be read.
        """
