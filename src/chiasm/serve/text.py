"""A text encoder with weights, vocabulary and memory: the border between words and tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.data.tokenizer import Tokenizer
from chiasm.engine.precision import computes_in_bfloat16
from chiasm.models.text_encoder import TextParts, Texts
from chiasm.ops.beginnings import Alike, shared_beginnings
from chiasm.ops.vectors import unit_rows
from chiasm.serve._cache import FeatureCache
from chiasm.serve._twin import twin

BATCH_SIZE = 256
WORTH_SHARING = 16
"""Texts that begin alike from which their beginning is computed once: products of fewer rows are slower."""


def no_vocabulary() -> str:
    """The tokenizer of a model that was given none.

    Raises:
        InputError: always.
    """
    raise InputError("a model with a tokenizer", "this one was given none", "open it by its name")


class ServedText:
    """Implements `core.predictors.TextEncoder` over the side of a model that reads text.

    Args:
        texts: that side.
        name: how a person calls the model.
        vocabulary: JSON text of its tokenizer; a function, since whoever asks nothing in words needs none.
        device: where it computes.
        fingerprint: of the weights and settings of the model; a function, since to tell it may mean to read them.
    """

    def __init__(
        self,
        texts: Texts,
        name: str,
        vocabulary: Callable[[], str],
        device: torch.device,
        fingerprint: Callable[[], str],
    ) -> None:
        self.logit_scale = texts.logit_scale
        self.logit_bias = texts.logit_bias
        self._encoder = texts.encoder.to(device).eval()
        self._name = name
        self._vocabulary = cache(vocabulary)
        self._fingerprint = fingerprint
        self._device = device
        self._autocast = computes_in_bfloat16(device)
        self._cache = FeatureCache()

    @property
    def parts(self) -> TextParts:
        """The encoder in float32, the tokenizer and where they compute, for whoever learns through them.

        Raises:
            InputError: as of `embed`.
        """
        return TextParts(twin(self._encoder), self._tokenizer, self._device)

    @property
    def fingerprint(self) -> str:
        """Changes whenever answers could: the vocabulary lies beside the weights and may be exchanged alone.

        Raises:
            InputError: the model's tokenizer is missing.
        """
        identity = f"{self._fingerprint()} {self._vocabulary()}"
        return hashlib.sha256(identity.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "B D"]:
        """Vectors of length 1 of texts, in their order; a text met before is not encoded again.

        Raises:
            InputError: the model's tokenizer is missing, cannot be read, or has more tokens than the model.
        """
        keys = [text.encode("utf-8", errors="surrogatepass") for text in texts]
        found = {key: self._cache.get(key) for key in keys}
        new = {key: text for key, text in zip(keys, texts, strict=True) if found[key] is None}
        for key, vector in zip(new, self._encode(list(new.values())), strict=True):
            found[key] = vector
            self._cache.put(key, vector)
        rows = [vector for vector in map(found.get, keys) if vector is not None]
        return np.stack(rows) if rows else np.zeros((0, self._encoder.embed_dim), np.float32)

    def _encode(self, texts: Sequence[str]) -> Float[np.ndarray, "B D"]:
        """Encode texts, those that begin alike and then those of like lengths together."""
        vectors = np.zeros((len(texts), self._encoder.embed_dim), np.float32)
        if not texts:
            return vectors
        tokens = self._tokenizer(texts)
        lengths = self._encoder.lengths(tokens)
        for alike in self._alike(tokens, lengths):
            rows = torch.from_numpy(alike.rows)
            for places in rows[lengths[rows].argsort(stable=True)].split(BATCH_SIZE):
                some = tokens[places, : int(lengths[places].max())]
                vectors[places.numpy()] = self._encode_batch(some, alike.num_shared)
        return unit_rows(vectors)[0]

    def _alike(self, tokens: Int64[Tensor, "B T"], lengths: Int64[Tensor, " B"]) -> tuple[Alike, ...]:
        """Texts by what they begin with, which helps only where tokens do not see what comes after them."""
        if not self._encoder.trunk.looks_back:
            return (Alike(np.arange(len(tokens)), 0),)
        return shared_beginnings(tokens[:, : int(lengths.max())].numpy(), lengths.numpy(), WORTH_SHARING)

    @torch.inference_mode()
    def _encode_batch(self, tokens: Int64[Tensor, "B T"], num_shared: int) -> Float[np.ndarray, "B D"]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            return self._encoder(tokens.to(self._device), num_shared).float().cpu().numpy()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = self._encoder.tokenizer(self._vocabulary())
        known = self._encoder.trunk.vocab_size
        if tokenizer.vocab_size > known:
            raise InputError(
                f"a tokenizer of at most {known:,} tokens, as {self._name} has vectors for",
                f"its tokenizer has {tokenizer.vocab_size:,}",
                "take tokenizer and weights from the same repository",
            )
        return tokenizer
