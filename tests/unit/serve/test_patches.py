"""Patches of served models: tokens and heads of every kind of trunk, at its own size and at others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Subset
from chiasm.core.explaining import Explainer
from chiasm.data.open import open_source
from chiasm.heads import pool
from chiasm.layers.attention import attend
from chiasm.models import encoder
from chiasm.serve import _patches
from chiasm.serve.encoder import PictureEncoder
from chiasm.serve.explain import PictureExplainer
from chiasm.trunks import convnext, swin, vit

SMALL: dict[str, Any] = {"image_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 3, "patch_size": 8}
TRUNKS = {
    "class token": (vit.Config(**SMALL, num_register_tokens=2), "class_token", (4, 4), 3),
    "attention pool": (vit.Config(**SMALL, cls_token=False), "attention", (4, 4), 8),
    "mean": (vit.Config(**SMALL, cls_token=False), "mean_patches", (4, 4), None),
    "swin": (
        swin.Config(image_size=32, patch_size=4, embed_dim=12, depths=(1, 1), num_heads=(2, 2), window_sizes=(4,)),
        "mean_patches",
        (4, 4),
        None,
    ),
    "convnext": (
        convnext.Config(image_size=32, patch_size=4, embed_dims=(8, 16), depths=(1, 1)),
        "mean_patches",
        (4, 4),
        None,
    ),
}


def served(name: str, dtype: torch.dtype = torch.float32) -> PictureExplainer:
    trunk, by, _, _ = TRUNKS[name]
    torch.manual_seed(0)
    settings = encoder.Config(trunk=trunk, pool=pool.Config.model_validate({"by": {"kind": by}}))
    return PictureExplainer(PictureEncoder(settings.build().to(dtype), "m", lambda: "f", torch.device("cpu")))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    generator = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for place in range(6):
        small = Image.fromarray(generator.integers(0, 256, (6, 9, 3), dtype=np.uint8))
        small.resize((90, 60)).save(tmp_path / "pictures" / f"{place}.png")
    return open_source(str(tmp_path / "pictures"))


@pytest.mark.parametrize("name", TRUNKS)
def test_tokens_are_those_where_the_trunk_ends(name, source):
    model, grid = served(name), TRUNKS[name][2]
    assert isinstance(model, Explainer)
    found = model.patches(source)
    assert found.keys == tuple(f"{place}.png" for place in range(6))
    assert found.squares.shape == (6, 32, 32, 3)
    trunk = model.encoder.model.encoder.trunk
    with torch.inference_mode():
        images = torch.from_numpy(found.squares).permute(0, 3, 1, 2)
        expected = trunk(trunk.normalize(images)).patches.unflatten(1, grid)
    assert np.allclose(found.tokens, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_larger_size_gives_more_patches(name, source):
    model, (rows, columns) = served(name), TRUNKS[name][2]
    found = model.patches(source, 64)
    assert found.squares.shape == (6, 64, 64, 3)
    assert found.tokens.shape[1:3] == (2 * rows, 2 * columns)


def test_sizes_that_do_not_fit_are_told(source):
    with pytest.raises(InputError, match="patch"):
        served("class token").patches(source, 60)
    for size_px in (0, -8):
        with pytest.raises(InputError, match="size_px of at least 1"):
            served("class token").patches(source, size_px)


@pytest.mark.parametrize("name", [name for name, (*_, heads) in TRUNKS.items() if heads])
def test_heads_share_their_attention_among_all_tokens(name, source):
    found = served(name).heads(source)
    assert found.attention.shape == (6, TRUNKS[name][3], *TRUNKS[name][2])
    sums = found.attention.sum(axis=(2, 3))
    # Class token and registers take the rest.
    assert (sums < 0.95).all() if name == "class token" else np.allclose(sums, 1, atol=1e-5)
    assert found.looks == ("the class token" if name == "class token" else "the query of the pool")


@pytest.mark.parametrize("name", [name for name, (*_, heads) in TRUNKS.items() if not heads])
def test_an_average_has_no_heads_and_says_why(name, source):
    with pytest.raises(InputError, match="its vector is an average that no head looks for; choose pca or similarity"):
        served(name).heads(source)


def test_the_model_itself_is_left_alone_and_half_precision_is_looked_at_in_float32(source):
    model = served("class token", torch.bfloat16)
    found, exact = model.heads(source), served("class token").heads(source)
    trunk: Any = model.encoder.model.encoder.trunk
    assert found.attention.dtype == model.patches(source).tokens.dtype == np.float32
    assert all(parameter.dtype == torch.bfloat16 for parameter in trunk.parameters())
    assert trunk.blocks[0].attention.look is attend
    assert np.allclose(found.attention, exact.attention, atol=0.01)


def test_broken_pictures_are_told(source, tmp_path):
    for place in range(6, 20):
        Image.new("RGB", (20, 20)).save(tmp_path / "pictures" / f"{place}.png")
    (tmp_path / "pictures" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    found = served("class token").patches(open_source(str(tmp_path / "pictures")))
    assert [key for key, _ in found.skipped] == ["1.png"]
    assert len(found.tokens) == len(found.squares) == len(found.keys) == 19


def test_more_than_memory_holds_is_refused_at_once(source, monkeypatch):
    monkeypatch.setattr(_patches, "MOST_BYTES", 5 * (16 * 24 * 4 + 3 * 32**2))
    with pytest.raises(InputError, match="at most 5 pictures of this size.*6 came; give fewer pictures"):
        served("class token").patches(source)
    assert len(served("class token").patches(Subset(source, range(5), "five")).tokens) == 5
