"""The raw-pixel baseline."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.core.errors import InputError, TooManyBrokenError
from chiasm.core.predictors import Encoder
from chiasm.evaluate import RawPixels
from chiasm.evaluate.knn import knn


def test_vectors_are_the_pixels_of_the_middle_square(pictures) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    model = RawPixels(4)
    embeddings = model.embed(pictures("p", [picture], [0], ("a",)))
    expected = picture[:, 2:6].transpose(2, 0, 1).ravel().astype(np.float32) / 127.5 - 1
    assert isinstance(model, Encoder)
    assert embeddings.vectors.shape == (1, model.embed_dim)
    np.testing.assert_allclose(embeddings.vectors[0] * embeddings.norms[0], expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-6)
    assert (embeddings.keys, embeddings.labels.tolist(), embeddings.classes) == (("0000",), [0], ("a",))


def test_serves_the_evaluations(splits) -> None:
    (result,) = knn([RawPixels(4)], data=[splits], k=5).results
    assert result.scores.accuracy.value > 0.9
    assert result.model == "raw pixels (4 x 4)"


def test_fingerprint_tells_sizes_apart() -> None:
    assert RawPixels(8).fingerprint != RawPixels(16).fingerprint


def test_broken_pictures_are_skipped_until_there_are_too_many(pictures) -> None:
    grey = np.full((4, 4, 3), 9, np.uint8)
    assert RawPixels(4).embed(pictures("p", [grey] * 19 + [None], [0] * 20, ("a",))).skipped == (("0019", "torn"),)
    with pytest.raises(TooManyBrokenError):
        RawPixels(4).embed(pictures("p", [grey, None], [0, 0], ("a",)))


def test_no_pixels_at_all() -> None:
    with pytest.raises(InputError, match="at least 1 pixel"):
        RawPixels(0)
