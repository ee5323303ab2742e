"""The numpy side: what tasks ask of a model, and the records that they answer with.

This is the border between arrays that a person handles and tensors. `serve` implements these protocols over models;
tasks and evaluations are written against them, so that they need no PyTorch and every surface can bind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict

from chiasm.core.example import Source


class Record(BaseModel):
    """Base of every answer that leaves a task: plain, typed, and printable as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of the readable pictures of a source, in the source's order.

    Attributes:
        vectors: one row per picture.
        keys: identity of each picture within its source.
        labels: class index of each picture, -1 where it has none.
        classes: names that the labels point into.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    vectors: Float[np.ndarray, "B D"]
    keys: tuple[str, ...]
    labels: Int[np.ndarray, " B"]
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Encoder(Protocol):
    """A model that turns pictures into one vector each.

    Attributes:
        name: how a person calls it (path of the artefact or public name).
        fingerprint: changes whenever weights or preprocessing change; vectors of different fingerprints do not mix.
        embed_dim: width of the vectors.
    """

    name: str
    fingerprint: str
    embed_dim: int

    def embed(self, source: Source) -> Embeddings:
        """Vectors of all readable pictures of a source.

        Raises:
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...


@runtime_checkable
class Classifier(Protocol):
    """A fitted few-shot classifier."""

    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Probability of each class for each vector; rows sum to 1."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A way to fit a classifier on few labelled vectors."""

    def fit(self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], num_classes: int) -> Classifier:
        """Fit; every class 0 to num_classes - 1 occurs at least once in `labels`."""
        ...
