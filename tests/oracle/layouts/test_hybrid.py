"""Hybrids of timm (fixtures) and those inside DPT of transformers, against `chiasm.load`."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from torch import Tensor

import chiasm
from chiasm.core.errors import InputError
from chiasm.models.classifier import Classifier

transformers = pytest.importorskip("transformers")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "timm"
PRECISIONS = {"float64": torch.float64, "float32": torch.float32}
RESNET = {
    "model_type": "bit",
    "layer_type": "bottleneck",
    "global_padding": "same",
    "embedding_dynamic_padding": True,
    "depths": [2, 1, 2],
    "embedding_size": 16,
    "hidden_sizes": [32, 64, 96],
    "num_groups": 4,
    "out_features": ["stage1", "stage2", "stage3"],
}
DPT: dict[str, Any] = {
    "is_hybrid": True,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 48,
    "backbone_featmap_shape": [1, 96, 3, 3],
    "backbone_out_indices": [0, 0, 1, 1],
    "neck_hidden_sizes": [8, 8, 8, 8],
    "fusion_hidden_size": 8,
}


def load(name: Path) -> Any:
    return chiasm.load(str(name))


def all_tokens(model: Any, inputs: Tensor) -> Tensor:
    features = model.encoder.trunk(inputs)
    return torch.cat([features.prefix, features.patches], dim=1)


@pytest.mark.parametrize("name", ["hybrid_stages", "hybrid_stem"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("place", [0, 1])
def test_timm(name, precision, place):
    model = load(FIXTURES / name).to(PRECISIONS[precision])
    answers = {key: torch.from_numpy(value) for key, value in np.load(FIXTURES / name / "answers.npz").items()}
    inputs = (answers[f"pictures_{place}"].double() / 255 - 0.5) / 0.5
    assert model.encoder.trunk.mean == model.encoder.trunk.std == (0.5, 0.5, 0.5)
    with torch.no_grad():
        found = {"tokens": all_tokens(model, inputs.to(PRECISIONS[precision]))}
        if isinstance(model, Classifier):
            features = model.encoder.trunk(inputs.to(PRECISIONS[precision]))
            found["logits"] = model.head(model.encoder.pool(features))
    size = " at another size" if place else ""
    for part, value in found.items():
        deviation = {precision: difference(value, answers[f"{part}_{place}"])}
        check("timm_hybrid", "Hybrid", f"timm.{name} (fixture)", f"{part}{size}", **deviation)


@pytest.mark.parametrize("name", ["hybrid_stages", "hybrid_stem"])
def test_every_weight_of_timm_matters(name):
    model = load(FIXTURES / name).double()
    images = torch.from_numpy(np.load(FIXTURES / name / "answers.npz")["pictures_0"])
    inputs = model.encoder.trunk.normalize(images)
    has_head = isinstance(model, Classifier)
    assert not unmoved(model, lambda: model(images) if has_head else all_tokens(model, inputs))


@pytest.fixture(scope="module")
def dpt() -> Any:
    return redrawn(transformers.DPTModel(transformers.DPTConfig(**DPT, backbone_config=RESNET)))


@pytest.mark.parametrize("size", [(48, 48), (64, 32)])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_dpt(tmp_path, dpt, size, precision):
    dpt.save_pretrained(tmp_path)
    model = load(tmp_path).to(PRECISIONS[precision])
    inputs = model.encoder.trunk.normalize(pixels(*size))
    reference = deepcopy(dpt).to(PRECISIONS[precision])
    with torch.no_grad():
        embedded = reference.embeddings(inputs, interpolate_pos_encoding=True).last_hidden_states
        expected = reference.layernorm(reference.encoder(embedded).last_hidden_state)
        found = all_tokens(model, inputs)
    part = "tokens" if size == (48, 48) else "tokens at another size"
    check("hf_dpt_hybrid", "Hybrid", "transformers.DPTModel", part, **{precision: difference(found, expected)})


def test_every_weight_of_dpt_matters(tmp_path, dpt):
    dpt.save_pretrained(tmp_path)
    model = load(tmp_path)
    inputs = model.encoder.trunk.normalize(pixels(48, 48))
    assert not unmoved(model, lambda: all_tokens(model, inputs))


def test_neck_and_head_are_left_out(tmp_path):
    config = transformers.DPTConfig(**DPT, backbone_config=RESNET)
    reference = redrawn(transformers.DPTForDepthEstimation(config), seed=1)
    reference.save_pretrained(tmp_path)
    model = load(tmp_path)
    inputs = model.encoder.trunk.normalize(pixels(48, 48))
    with torch.no_grad():
        expected = reference.dpt(inputs).last_hidden_state
        deviation = difference(all_tokens(model, inputs), expected)
    check("hf_dpt_hybrid", "Hybrid", "transformers.DPTForDepthEstimation", "tokens", float64=deviation)


@pytest.mark.parametrize(
    ("name", "value"),
    [("layer_type", "preactivation"), ("global_padding", "valid"), ("embedding_dynamic_padding", False)],
)
def test_another_resnet_is_told(tmp_path, dpt, name, value):
    dpt.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["backbone_config"][name] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"expected a backbone_config with {name}"):
        load(tmp_path)
