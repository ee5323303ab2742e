"""Heads and tokens of patches against the attention and the states that transformers gives out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from references import FLOAT64, difference, pixels, redrawn
from torch.nn import functional

import chiasm
from chiasm.data.open import open_source
from chiasm.serve.encoder import PictureEncoder
from chiasm.serve.explain import PictureExplainer

transformers = pytest.importorskip("transformers")
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
    "attn_implementation": "eager",
}
# Attention stays soft, so that every entry of the maps is compared and none is next to 0.
DEVIATION = 0.1
# DINOv2's reference resamples its positions in float32, whatever the precision.
RESAMPLED = 1e-7


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference takes its softmax in float32 whatever the precision; here it keeps what it is given."""
    monkeypatch.setattr(functional, "softmax", lambda scores, dim, dtype=None: scores.softmax(dim))


def vit() -> tuple[Any, int]:
    """The family of DINO; tokens before the patches."""
    config = transformers.ViTConfig(**SHAPE, intermediate_size=48)
    return transformers.ViTModel(config, add_pooling_layer=False), 1


def dinov2() -> tuple[Any, int]:
    return transformers.Dinov2Model(transformers.Dinov2Config(**SHAPE)), 1


def registers() -> tuple[Any, int]:
    config = transformers.Dinov2WithRegistersConfig(**SHAPE, num_register_tokens=2)
    return transformers.Dinov2WithRegistersModel(config), 3


@pytest.mark.parametrize("build", [vit, dinov2, registers])
@pytest.mark.parametrize("side", [32, 48])
def test_heads_and_tokens(build: Any, side: int, tmp_path: Path) -> None:
    fresh, num_prefix = build()
    reference = redrawn(fresh, deviation=DEVIATION)
    reference.save_pretrained(tmp_path / "model")
    model: Any = chiasm.load(str(tmp_path / "model")).double()
    (tmp_path / "pictures").mkdir()
    for place, image in enumerate(pixels(side, side)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "pictures" / f"{place}.png")
    served = PictureExplainer(PictureEncoder(model, "m", lambda: "f", torch.device("cpu")))
    source = open_source(str(tmp_path / "pictures"))
    heads, patches = served.heads(source, side), served.patches(source, side)
    squares = torch.from_numpy(heads.squares).permute(0, 3, 1, 2)
    options = {"interpolate_pos_encoding": True} if build is vit else {}
    with torch.no_grad():
        inputs = model.encoder.trunk.normalize(squares)
        answer = reference(pixel_values=inputs, output_attentions=True, **options)
    grid, tolerance = (side // 8, side // 8), FLOAT64 if build is vit or side == 32 else RESAMPLED
    expected = answer.attentions[-1][:, :, 0, num_prefix:].unflatten(2, grid)
    assert heads.attention.dtype == np.float64
    assert difference(torch.from_numpy(heads.attention), expected) <= tolerance
    tokens = answer.last_hidden_state[:, num_prefix:].unflatten(1, grid)
    assert difference(torch.from_numpy(patches.tokens), tokens) <= tolerance
