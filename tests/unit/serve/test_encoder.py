"""The predictor: right order, nothing computed twice, broken pictures told."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from drawn import draw_pictures

from chiasm.core.example import Subset
from chiasm.data.open import open_source
from chiasm.data.reference_fits import ShorterSide
from chiasm.models import encoder
from chiasm.models._store import save_model
from chiasm.serve._cache import FeatureCache
from chiasm.serve.encoder import TOKENS_PER_PASS, PictureEncoder, open_encoder, untrained_encoder
from chiasm.trunks import vit
from chiasm.weights.card import Card

TRUNK = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)


class Counting(encoder.Encoder):
    """Counts the pictures that reach the model."""

    seen = 0

    def forward(self, images):
        self.seen += len(images)
        return super().forward(images)


@pytest.fixture
def model() -> Counting:
    torch.manual_seed(0)
    return Counting(encoder.Config(trunk=TRUNK))


@pytest.fixture
def source(tmp_path):
    return open_source(str(draw_pictures(tmp_path / "pictures", 5)))


def test_vectors_come_in_the_order_of_the_source(model, source):
    predictor = PictureEncoder(model, "m", lambda: "f", torch.device("cpu"))
    whole = predictor.embed(source)
    assert whole.keys == tuple(source.key(index) for index in range(len(source)))
    assert whole.labels.tolist() == [source.label(index) for index in range(len(source))]
    assert whole.vectors.shape == (15, predictor.embed_dim)
    assert np.allclose(np.linalg.norm(whole.vectors, axis=1), 1, atol=1e-6)
    anew = PictureEncoder(model, "m", lambda: "f", torch.device("cpu"))
    backwards = anew.embed(Subset(source, range(14, -1, -1), "back"))
    assert np.allclose(backwards.vectors[::-1], whole.vectors, atol=1e-6)


def test_a_picture_is_encoded_once(model, source):
    predictor = PictureEncoder(model, "m", lambda: "f", torch.device("cpu"))
    first = predictor.embed(source)
    assert model.seen == 15
    again = predictor.embed(Subset(source, [3, 3, 7], "some"))
    assert model.seen == 15
    assert np.array_equal(again.vectors, first.vectors[[3, 3, 7]])


def test_broken_pictures_are_told(model, source, tmp_path):
    (tmp_path / "pictures" / "red" / "zz.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    answer = PictureEncoder(model, "m", lambda: "f", torch.device("cpu")).embed(open_source(str(tmp_path / "pictures")))
    assert [key for key, _ in answer.skipped] == ["red/zz.png"]
    assert len(answer.keys) == 15


def test_the_same_picture_twice_in_one_batch_is_encoded_once(model, source):
    predictor = PictureEncoder(model, "m", lambda: "f", torch.device("cpu"))
    found = predictor.embed(Subset(source, [2, 5, 2, 2], "some"))
    assert model.seen == 2
    assert np.array_equal(found.vectors[[0, 0]], found.vectors[[2, 3]])
    assert not np.array_equal(found.vectors[0], found.vectors[1])


def test_a_picture_under_another_name_is_the_same_one(model, source, tmp_path):
    predictor = PictureEncoder(model, "m", lambda: "f", torch.device("cpu"))
    predictor.embed(source)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(next((tmp_path / "pictures").rglob("*.png")), tmp_path / "elsewhere" / "copy.png")
    seen = model.seen
    predictor.embed(open_source(str(tmp_path / "elsewhere")))
    assert model.seen == seen


def test_the_cache_forgets_the_oldest():
    vectors = [np.full(1000, number, np.float32) for number in range(4)]
    cache = FeatureCache(max_bytes=2 * 4400)
    for number in range(3):
        cache.put(bytes([number]), vectors[number])
        cache.get(bytes([0]))
    assert cache.get(bytes([1])) is None
    assert cache.get(bytes([0])) is not None
    for _ in range(5):
        cache.put(bytes([2]), vectors[3])
    kept = cache.get(bytes([2]))
    assert kept is not None
    assert kept[0] == 3
    assert cache.get(bytes([0])) is not None


def test_a_vector_too_large_for_the_cache_is_not_kept():
    cache = FeatureCache(max_bytes=1000)
    cache.put(b"a", np.zeros(1000, np.float32))
    assert cache.get(b"a") is None
    cache.put(b"b", np.zeros(8, np.float32))
    assert cache.get(b"b") is not None


def test_a_kept_vector_is_no_view_of_its_batch():
    batch = np.zeros((64, 8), np.float32)
    cache = FeatureCache()
    cache.put(b"a", batch[3])
    kept = cache.get(b"a")
    assert kept is not None
    assert kept.base is None


def test_a_cpu_encodes_few_large_pictures_at_a_time(source):
    sizes: list[int] = []

    class Watching(encoder.Encoder):
        def forward(self, images):
            sizes.append(len(images))
            return super().forward(images)

    for image_size, patch_size, most in ((512, 16, TOKENS_PER_PASS // 32**2), (512, 128, 15), (320, 16, 4)):
        trunk = TRUNK.model_copy(update={"image_size": image_size, "patch_size": patch_size})
        sizes.clear()
        PictureEncoder(Watching(encoder.Config(trunk=trunk)), "m", lambda: "f", torch.device("cpu")).embed(source)
        assert (max(sizes), sum(sizes)) == (most, 15)


def test_the_fit_says_how_large_the_squares_are(source):
    sides: list[int] = []

    class Watching(encoder.Encoder):
        def forward(self, images):
            sides.append(images.shape[-1])
            return super().forward(images)

    model = Watching(encoder.Config(trunk=TRUNK, fit=ShorterSide(size_px=8)))
    PictureEncoder(model, "m", lambda: "f", torch.device("cpu")).embed(source)
    assert set(sides) == {8}


def test_an_untrained_twin_has_other_weights_and_leaves_the_random_state(model, source, tmp_path):
    save_model(encoder.Config(trunk=TRUNK).build(), tmp_path / "m", Card.now("t", "d", "c", 1.0, {}, {}))
    state = torch.get_rng_state()
    twin = untrained_encoder(str(tmp_path / "m"), 0)
    assert torch.equal(state, torch.get_rng_state())
    trained = open_encoder(str(tmp_path / "m"))
    assert not np.allclose(twin.embed(source).vectors, trained.embed(source).vectors)
    assert twin.fingerprint != trained.fingerprint
    assert np.array_equal(twin.embed(source).vectors, untrained_encoder(str(tmp_path / "m"), 0).embed(source).vectors)
