"""Attention that is recorded here, and the heat maps made from it, against transformers and the papers' formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from references import FLOAT64, difference, pixels, redrawn
from torch import Tensor, nn
from torch.nn import functional

import chiasm
from chiasm.core.example import Source
from chiasm.core.explaining import HeatMethod
from chiasm.data.open import open_source
from chiasm.layers.attention import recorded
from chiasm.serve.encoder import PictureEncoder
from chiasm.serve.explain import PictureExplainer

transformers = pytest.importorskip("transformers")
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
    "intermediate_size": 48,
}
# Smaller than elsewhere: attention stays soft, so that every entry of the maps is compared and none is next to 0.
DEVIATION = 0.1


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference takes its softmax in float32 whatever the precision; here it keeps what it is given."""
    monkeypatch.setattr(functional, "softmax", lambda scores, dim, dtype=None: scores.softmax(dim))


def vit(tmp_path: Path) -> tuple[Any, Any]:
    """A reference that returns its attention, and the same model here."""
    config = transformers.ViTConfig(**SHAPE, attn_implementation="eager")
    reference = redrawn(transformers.ViTModel(config, add_pooling_layer=False), deviation=DEVIATION)
    reference.save_pretrained(tmp_path / "model")
    return reference, chiasm.load(str(tmp_path / "model")).double()


def siglip(tmp_path: Path) -> tuple[Any, Any]:
    config = transformers.SiglipVisionConfig(**SHAPE, attn_implementation="eager")
    reference = redrawn(transformers.SiglipVisionModel(config), deviation=DEVIATION)
    reference.save_pretrained(tmp_path / "model")
    return reference, chiasm.load(str(tmp_path / "model")).double()


def save(images: Tensor, folder: Path) -> Source:
    folder.mkdir()
    for place, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{place}.png")
    return open_source(str(folder))


def rolled(maps: list[Tensor]) -> Tensor:
    """Abnar and Zuidema, 2020, section 3."""
    joint = torch.eye(maps[0].shape[-1], dtype=torch.float64)
    for each in maps:
        step = each.mean(dim=0) + torch.eye(len(joint), dtype=torch.float64)
        joint = step / step.sum(dim=1, keepdim=True) @ joint
    return joint


def relevant(maps: list[Tensor], slopes: list[Tensor]) -> Tensor:
    """Chefer et al., 2021, equations 5 and 6."""
    joint = torch.eye(maps[0].shape[-1], dtype=torch.float64)
    for each, slope in zip(maps, slopes, strict=True):
        joint = joint + (slope * each).clamp(min=0).mean(dim=0) @ joint
    return joint


def heat(model: Any, source: Source, direction: Tensor | None, method: HeatMethod) -> Tensor:
    """Heat maps of the model here, one row per picture."""
    served = PictureExplainer(PictureEncoder(model, "m", lambda: "f", torch.device("cpu")))
    directions = None if direction is None else direction.expand(len(source), -1).numpy()
    maps = served.heat(source, directions, method)
    assert maps.heat.dtype == np.float64
    return torch.from_numpy(maps.heat).flatten(1)


def shared(patches: Tensor) -> Tensor:
    return patches / patches.sum()


@pytest.mark.parametrize("build", [vit, siglip])
@pytest.mark.parametrize("size", [(32, 32), (48, 24)])
def test_attention(tmp_path, build, size):
    reference, model = build(tmp_path)
    images = pixels(*size)
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        expected = reference(pixel_values=inputs, interpolate_pos_encoding=True, output_attentions=True).attentions
        with recorded(model.encoder.trunk) as found:
            model.encoder.trunk(inputs)
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert difference(one, other) <= FLOAT64


def test_maps_of_a_class_token(tmp_path):
    reference, model = vit(tmp_path)
    images = pixels(32, 32)
    source = save(images, tmp_path / "pictures")
    direction = torch.randn(32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answer = reference(pixel_values=model.encoder.trunk.normalize(images), output_attentions=True)
    slopes = torch.autograd.grad((answer.last_hidden_state[:, 0] @ direction).sum(), answer.attentions)
    by_relevance = heat(model, source, direction, "relevance")
    by_rollout = heat(model, source, None, "rollout")
    for picture in range(len(images)):
        maps = [each[picture].detach() for each in answer.attentions]
        expected = relevant(maps, [slope[picture] for slope in slopes])
        assert difference(by_relevance[picture], shared(expected[0, 1:])) <= FLOAT64
        assert difference(by_rollout[picture], shared(rolled(maps)[0, 1:])) <= FLOAT64


def looked(attention: nn.MultiheadAttention, query: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What PyTorch's own layer answers, made from the weights that it gives out, and these weights."""
    _, weights = attention(query, tokens, tokens, need_weights=True, average_attn_weights=False)
    values = functional.linear(tokens, attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2])
    mixed = weights @ values.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    return attention.out_proj(mixed.transpose(1, 2).flatten(2)), weights


def test_maps_of_an_attention_pool(tmp_path):
    reference, model = siglip(tmp_path)
    images = pixels(32, 32)
    source = save(images, tmp_path / "pictures")
    direction = torch.randn(32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    answer = reference(pixel_values=model.encoder.trunk.normalize(images), output_attentions=True)
    head = reference.head
    seen, weights = looked(head.attention, head.probe.repeat(len(images), 1, 1), answer.last_hidden_state)
    vectors = (seen + head.mlp(head.layernorm(seen)))[:, 0]
    assert difference(vectors, answer.pooler_output) <= FLOAT64
    *slopes, pool_slope = torch.autograd.grad((vectors @ direction).sum(), [*answer.attentions, weights])
    by_relevance = heat(model, source, direction, "relevance")
    by_rollout = heat(model, source, None, "rollout")
    identity = torch.eye(16, dtype=torch.float64)
    for picture in range(len(images)):
        maps = [each[picture].detach() for each in answer.attentions]
        got = relevant(maps, [slope[picture] for slope in slopes]) - identity
        step = (pool_slope[picture] * weights[picture].detach()).clamp(min=0).mean(dim=0)
        # Chefer et al., 2021, equations 8 and 9.
        expected = step @ (got / got.sum(dim=1, keepdim=True) + identity)
        assert difference(by_relevance[picture], shared(expected[0])) <= FLOAT64
        expected = weights[picture].detach().mean(dim=0) @ rolled(maps)
        assert difference(by_rollout[picture], shared(expected[0])) <= FLOAT64
