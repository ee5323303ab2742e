"""A picture encoder with weights, preprocessing and memory: the border between arrays and tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from chiasm.core.example import Source
from chiasm.core.predictors import Embeddings
from chiasm.core.seeds import derive
from chiasm.data.pictures import PictureBatch, PictureLoader
from chiasm.data.skipped import Skipped
from chiasm.engine.precision import choose
from chiasm.models._store import load_model
from chiasm.models.encoder import Config, Encoder
from chiasm.serve._cache import FeatureCache
from chiasm.weights import artefact

BATCH_SIZE = 64


class PictureEncoder:
    """Implements `core.predictors.Encoder` over a model.

    Args:
        model: the stateless model.
        name: how a person calls it.
        fingerprint: of its weights and settings.
        device: where it computes.
    """

    def __init__(self, model: Encoder, name: str, fingerprint: str, device: torch.device) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.embed_dim = model.embed_dim
        self._model = model.to(device).eval()
        self._device = device
        self._autocast = choose("auto", device).precision == "bf16-mixed"
        self._cache = FeatureCache()

    def embed(self, source: Source) -> Embeddings:
        """Vectors of length 1 of all readable pictures, in the source's order.

        Raises:
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        skipped = Skipped()
        loader = PictureLoader(source, self._model.trunk.image_size, BATCH_SIZE, skipped)
        vectors: list[np.ndarray] = []
        keys: list[str] = []
        labels: list[np.ndarray] = []
        for batch in loader:
            vectors.append(self._embed_batch(batch))
            keys += batch.keys
            labels.append(batch.labels)
        empty = np.zeros((0, self.embed_dim), np.float32)
        return Embeddings(
            vectors=np.concatenate([empty, *vectors]),
            keys=tuple(keys),
            labels=np.concatenate([np.zeros(0, np.int64), *labels]),
            classes=source.classes,
            skipped=skipped.entries,
        )

    def _embed_batch(self, batch: PictureBatch) -> Float[np.ndarray, "B D"]:
        """Encode the pictures of a batch that were not encoded before."""
        digests = [FeatureCache.digest(picture.numpy()) for picture in batch.images]
        found = [self._cache.get(digest) for digest in digests]
        new = [place for place, vector in enumerate(found) if vector is None]
        if new:
            for place, vector in zip(new, self._encode(batch.images[new]), strict=True):
                found[place] = vector
                self._cache.put(digests[place], vector)
        return np.stack([vector for vector in found if vector is not None])

    @torch.inference_mode()
    def _encode(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[np.ndarray, "B D"]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            return self._model(images.to(self._device)).float().cpu().numpy()


def open_encoder(name: str) -> PictureEncoder:
    """Load an encoder from the folder of an artefact.

    Raises:
        InputError: the folder is missing or no artefact, or the model does not embed pictures.
    """
    stored = artefact.read(Path(name))
    return PictureEncoder(load_model(stored, Encoder), name, stored.fingerprint, best_device())


def untrained_encoder(name: str, seed: int) -> PictureEncoder:
    """An encoder of the same build as an artefact's, with random weights: the baseline of what training brought.

    Raises:
        InputError: the folder is missing or no artefact.
    """
    stored = artefact.read(Path(name))
    config = Config.parse(stored.config, str(stored.folder / artefact.CONFIG))
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "untrained"))
        model = config.build()
    return PictureEncoder(model, f"{name}, untrained", f"{stored.fingerprint}-untrained-{seed}", best_device())


def best_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
