"""A picture encoder with weights, preprocessing and memory: the border between arrays and tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from chiasm.core.example import Source
from chiasm.core.predictors import Embeddings
from chiasm.core.seeds import derive
from chiasm.data.pictures import PictureBatch, PictureLoader
from chiasm.data.skipped import Skipped
from chiasm.engine.precision import computes_in_bfloat16
from chiasm.heads.classes import ClassHead
from chiasm.models import registry
from chiasm.models._store import load_model
from chiasm.models.encoder import PictureModel
from chiasm.ops.log_odds import log_odds_gradients
from chiasm.ops.vectors import unit_rows
from chiasm.serve._cache import FeatureCache
from chiasm.serve._held import held
from chiasm.serve._sight import Sight
from chiasm.serve.text import ServedText, no_vocabulary
from chiasm.weights.find import find
from chiasm.weights.stored import Stored

BATCH_SIZE = 64
TOKENS_PER_PASS = 1600
"""Of all pictures that a CPU encodes at a time (`benchmarks/passes.py`).

Products of fewer tokens are slower; more of them make activations so large that glibc asks the system for new memory at
every layer, and having its pages cleared took up to a sixth of the time.
"""
LEAST_PATCH_PX = 16
"""Patches below this side are counted as if they had it: their tokens are narrow, or only few more."""


class PictureEncoder:
    """Implements `core.predictors.Encoder` over a model.

    Args:
        model: the stateless model.
        name: how a person calls it.
        fingerprint: of its weights and settings; a function, since to tell it may mean to read the weights once more.
        device: where it computes.
        vocabulary: JSON text of the tokenizer of a model that reads text; a function, asked for with the first text.
    """

    def __init__(
        self,
        model: PictureModel,
        name: str,
        fingerprint: Callable[[], str],
        device: torch.device,
        vocabulary: Callable[[], str] = no_vocabulary,
    ) -> None:
        self.name = name
        self.embed_dim = model.encoder.embed_dim
        self._fingerprint = cache(fingerprint)
        self._model = model.to(device).eval()
        self._encoder = self._model.encoder
        self._device = device
        self._autocast = computes_in_bfloat16(device)
        self._cache = FeatureCache()
        writing = self._model.writing
        self._sight = None if writing is None else Sight(writing, device)
        self.vocabulary = vocabulary
        texts = self._model.texts
        self.text = None if texts is None else ServedText(texts, name, vocabulary, device, self._fingerprint)

    @property
    def model(self) -> PictureModel:
        """The model itself, on `device`."""
        return self._model

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    @property
    def fingerprint(self) -> str:
        """Changes whenever answers could."""
        return self._fingerprint()

    @property
    def own_classes(self) -> ServedHead | None:
        """The classes that the model was trained on."""
        head = self._model.own_head
        return None if head is None else ServedHead(head, self._device)

    def embed(self, source: Source) -> Embeddings:
        """Vectors of length 1 of all readable pictures, in the source's order.

        Raises:
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        skipped = Skipped()
        found: list[np.ndarray] = []
        keys: list[str] = []
        labels: list[np.ndarray] = []
        for batch in self.batches(source, skipped):
            found.append(self._embed_batch(batch))
            keys += batch.keys
            labels.append(batch.labels)
        vectors, norms = unit_rows(np.concatenate([np.zeros((0, self.embed_dim), np.float32), *found]))
        return Embeddings(
            vectors=vectors,
            norms=norms,
            keys=tuple(keys),
            labels=np.concatenate([np.zeros(0, np.int64), *labels]),
            classes=source.classes,
            skipped=skipped.entries,
        )

    def batches(self, source: Source, skipped: Skipped) -> PictureLoader:
        """All readable pictures of a source, as the model takes them.

        Args:
            source: the pictures.
            skipped: the ledger of those that cannot be read.
        """
        fit = self._encoder.fit
        size_px = fit.side_px(self._encoder.trunk.image_size)
        return PictureLoader(source, size_px, self._batch_size(size_px), skipped, fit)

    def seen(self, batch: PictureBatch) -> Any:
        """What the writing side of the model keeps of pictures; the same pictures are not encoded again.

        Raises:
            TypeError: the model has no such side.
        """
        if self._sight is None:
            raise TypeError(f"{self.name} does not write")
        return self._sight.seen(batch.images, batch.digests)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """What the model computes inside needs no gradients and has the precision that suits the device."""
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            yield

    def _embed_batch(self, batch: PictureBatch) -> Float[np.ndarray, "B D"]:
        """Encode the pictures of a batch that were not encoded before."""
        found = {digest: self._cache.get(digest) for digest in batch.digests}
        new = {digest: place for place, digest in enumerate(batch.digests) if found[digest] is None}
        if new:
            images = batch.images if len(new) == len(batch.images) else batch.images[list(new.values())]
            for digest, vector in zip(new, self._encode(images, tuple(new)), strict=True):
                found[digest] = vector
                self._cache.put(digest, vector)
        return np.stack([vector for vector in map(found.get, batch.digests) if vector is not None])

    def _batch_size(self, size_px: int) -> int:
        """Pictures that are encoded at a time."""
        if self._device.type != "cpu":
            return BATCH_SIZE
        num_tokens = max(size_px // max(self._encoder.trunk.patch_size, LEAST_PATCH_PX), 1) ** 2
        return min(BATCH_SIZE, max(1, TOKENS_PER_PASS // num_tokens))

    def _encode(self, images: UInt8[Tensor, "B 3 H W"], digests: tuple[bytes, ...]) -> Float[np.ndarray, "B D"]:
        with self.computing():
            vectors = None if self._sight is None else self._sight.vectors(images, digests)
            if vectors is None:
                vectors = self._encoder(images.to(self._device))
            return vectors.float().cpu().numpy()


class ServedHead:
    """Implements `core.predictors.OwnClasses` over a class head."""

    def __init__(self, head: ClassHead, device: torch.device) -> None:
        self.classes = head.classes
        self._head = head
        self._device = device

    @torch.inference_mode()
    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Softmax of the head's logits of vectors of their own length."""
        logits = self._head(torch.from_numpy(vectors).to(self._device))
        return logits.softmax(dim=1).double().cpu().numpy()

    @torch.inference_mode()
    def gradients(self, vectors: Float[np.ndarray, "B D"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        """How the log-odds of one class against the others, for each vector, change with the vector's numbers."""
        logits = self._head(torch.from_numpy(vectors).to(self._device))
        weights = self._head.linear.weight
        return log_odds_gradients(weights.double().cpu().numpy(), logits.double().cpu().numpy(), classes)


def open_encoder(name: str) -> PictureEncoder:
    """Load what a text names (see `weights.find`) and make it ready to encode pictures.

    Raises:
        InputError: nothing usable is there, or the model does not embed pictures.
    """
    stored = find(name)
    return _alone_with(load_model(stored, PictureModel), name, lambda: stored.fingerprint, stored)


def untrained_encoder(name: str, seed: int) -> PictureEncoder:
    """An encoder of the same build as a stored one, with random weights: the baseline of what training brought.

    Raises:
        InputError: nothing usable is there.
    """
    stored = find(name)
    config = registry.config(stored.model).parse(stored.config, f"the settings of {name}")
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "untrained"))
        model = config.build()
    fingerprint = f"{stored.fingerprint}-untrained-{seed}"
    return _alone_with(model, f"{name}, untrained", lambda: fingerprint, stored)


def _alone_with(model: PictureModel, name: str, fingerprint: Callable[[], str], stored: Stored) -> PictureEncoder:
    """An encoder around a model that nobody else has."""
    device = best_device()
    served = held(model) if computes_in_bfloat16(device) else model
    return PictureEncoder(served, name, fingerprint, device, stored.tokenizer)


def best_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
