"""Vision transformers of timm, and single files with its names, against `chiasm.load`.

timm cannot be installed beside a CPU build of PyTorch, so what it answers lies in `tests/fixtures/timm`. The original
releases of DINO, DeiT, MAE and DINOv2 have no package at all: their names are put on weights of transformers.
"""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from safetensors.torch import load_file, save_file
from torch import Tensor

import chiasm
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.models.classifier import Classifier
from chiasm.weights.find import find

transformers = pytest.importorskip("transformers")
LAYOUT = "timm_vit"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "timm"
FAMILIES = {
    "vit_cls": "ViT",
    "vit_mean": "MAE",
    "vit_dinov2": "DINOv2",
    "vit_dinov2_reg": "DINOv2 with registers",
    "vit_reg_mean": "ViT",
    "vit_clip": "CLIP (pictures)",
    "vit_siglip": "SigLIP (pictures)",
    "deit_distilled": "DeiT",
    "deit3": "DeiT",
}
WITH_HEAD = sorted(name for name in FAMILIES if "dinov2" not in name and "siglip" not in name)


def load(name: str | Path) -> Any:
    return chiasm.load(str(name))


def normalised(model: Any, pictures: Tensor, dtype: torch.dtype) -> Tensor:
    """As timm was given them: computed in float64."""
    trunk = model.encoder.trunk
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (trunk.mean, trunk.std))
    return ((pictures.double() / 255 - mean) / std).to(dtype)


def all_tokens(features: Features) -> Tensor:
    return torch.cat([features.prefix, features.patches], dim=1)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tokens_and_logits(name, place, dtype):
    model = load(FIXTURES / name).to(dtype)
    answers = {key: torch.from_numpy(value) for key, value in np.load(FIXTURES / name / "answers.npz").items()}
    with torch.no_grad():
        features = model.encoder.trunk(normalised(model, answers[f"pictures_{place}"], dtype))
        vectors = model.encoder.pool(features)
        found = {"tokens": all_tokens(features)}
        if isinstance(model, Classifier):
            found["logits"] = model.head(vectors)
        if name != "deit_distilled":
            # There timm's vector is the mean of two tokens, which are what our head reads.
            found["vectors"] = vectors
    size = " at another size" if place else ""
    precision = "float64" if dtype == torch.float64 else "float32"
    for part, value in found.items():
        deviation = {precision: difference(value, answers[f"{part}_{place}"])}
        check(LAYOUT, FAMILIES[name], f"timm.{name} (fixture)", f"{part}{size}", **deviation)


@pytest.mark.parametrize("name", WITH_HEAD)
def test_from_pixels_to_logits(name):
    model = load(FIXTURES / name)
    answers = np.load(FIXTURES / name / "answers.npz")
    with torch.no_grad():
        found = model(torch.from_numpy(answers["pictures_0"]))
    deviation = difference(found, torch.from_numpy(answers["logits_0"]))
    check(LAYOUT, FAMILIES[name], f"timm.{name} (fixture)", "logits", float32=deviation)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_matters(name):
    model = load(FIXTURES / name).double()
    images = torch.from_numpy(np.load(FIXTURES / name / "answers.npz")["pictures_0"])
    assert not unmoved(model, lambda: model(images))


def test_the_classes_are_named_where_timm_names_them():
    assert load(FIXTURES / "vit_cls").head.classes == ("cat", "dog", "owl", "cow", "bee")
    assert load(FIXTURES / "vit_mean").head.classes == tuple(f"class {number}" for number in range(5))


def changed(folder: Path, name: str, **settings: Any) -> str:
    """A fixture with other settings; `model_args` and `pretrained_cfg` are changed key by key, None takes one away."""
    shutil.copytree(FIXTURES / name, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    for key, value in settings.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) and key in config else value
        config[key] = {k: v for k, v in config[key].items() if v is not None} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_settings_for_pictures_in_both_spellings(tmp_path):
    new = load(changed(tmp_path / "new", "vit_cls", pretrained_cfg={"crop_pct": 0.75, "mean": [0.1, 0.2, 0.3]}))
    assert new.encoder.trunk.mean == (0.1, 0.2, 0.3)
    assert new.encoder.trunk.std == (0.5, 0.5, 0.5)
    flat = changed(tmp_path / "old", "vit_cls", pretrained_cfg={}, mean=[0.4, 0.4, 0.4], std=[0.2, 0.2, 0.2])
    config = json.loads(Path(flat, "config.json").read_text())
    del config["pretrained_cfg"]
    Path(flat, "config.json").write_text(json.dumps(config))
    old = load(flat)
    assert old.encoder.trunk.mean == (0.4, 0.4, 0.4)
    assert old.encoder.trunk.std == (0.2, 0.2, 0.2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model_args": {"num_heads": None}}, "expected num_heads among the model_args"),
        ({"model_args": {"act_layer": "silu"}}, "expected an act_layer among gelu"),
        ({"model_args": {"global_pool": "avgmax"}}, "'avgmax' came"),
        ({"model_args": {"pool_include_prefix": True}}, "expected a global_pool of token, of avg over"),
        ({"architecture": "vit_base_patch16_rope_ape_224"}, "vit_base_patch16_rope_ape_224, which is none of them"),
        ({"architecture": "vit_base_patch16_rpn_224"}, "which is none of them"),
        ({"architecture": "vit_pe_spatial_base_patch16_512"}, "which is none of them"),
    ],
)
def test_what_is_unlike_is_told(tmp_path, settings, told):
    with pytest.raises(InputError, match=told):
        load(changed(tmp_path, "vit_cls", **settings))


def test_a_missing_weight_is_listed(tmp_path):
    shutil.copytree(FIXTURES / "vit_cls", tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    weights["blocks.1.attn.q_norm.weight"] = weights.pop("blocks.1.mlp.fc2.weight")
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="1 missing; 1 unexpected") as caught:
        load(tmp_path)
    assert "blocks.1.mlp.down.weight" in caught.value.details
    assert "blocks.1.attn.q_norm.weight" in caught.value.details


def shapes(width: int) -> dict[str, Tensor]:
    """As much of a model as is read without loading it; the tensors need no numbers of their own."""
    return {
        "cls_token": torch.zeros(1, 1, width),
        "pos_embed": torch.zeros(1, 5, width),
        "patch_embed.proj.weight": torch.zeros(width, 3, 2, 2),
        "blocks.0.attn.qkv.weight": torch.zeros(3 * width, width),
        "blocks.0.mlp.fc2.weight": torch.zeros(width, 8),
    }


def test_the_activation_of_a_clip_is_not_guessed(tmp_path):
    save_file(shapes(64) | {"norm_pre.weight": torch.zeros(64)}, tmp_path / "clip.safetensors")
    with pytest.raises(InputError, match="expected the whole folder of a CLIP"):
        find(str(tmp_path / "clip.safetensors"))


@pytest.mark.parametrize(
    ("named", "width", "heads", "kind"),
    [
        ("vit_base_patch16_224", 128, 2, "gelu"),
        ("vit_base_patch16_gap_224", 96, 2, "gelu"),
        ("vit_huge_patch14_224", 1280, 16, "gelu"),
        ("vit_base_patch16_clip_quickgelu_224.openai", 128, 2, "gelu_quick"),
        ("vit_so400m_patch16_siglip_gap_256.v2_webli", 1152, 16, "gelu_tanh"),
        ("vit_so400m_patch14_siglip_gap_224.webli", 1152, 16, "gelu"),
        ("vit_giantopt_patch16_siglip_gap_256.v2_webli", 192, 2, "gelu_tanh"),
    ],
)
def test_heads_and_activation_are_told_by_the_name(tmp_path, named, width, heads, kind):
    save_file(shapes(width), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": named, "num_classes": 0}))
    trunk = find(str(tmp_path)).config["trunk"]
    assert (trunk["num_heads"], trunk["mlp"]["kind"]) == (heads, kind)


def test_what_does_not_fill_a_patch_is_left_out(tmp_path):
    # As vit_so400m_patch14_siglip_384, whose 27 patches of 14 px fill 378 px.
    save_file(shapes(64) | {"pos_embed": torch.zeros(1, 10, 64)}, tmp_path / "model.safetensors")
    settings = {"architecture": "vit_base_patch2_7", "pretrained_cfg": {"input_size": [3, 7, 7], "crop_pct": 0.7}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    config = find(str(tmp_path)).config
    assert config["trunk"]["image_size"] == 6
    assert (config["fit"]["resize_px"], config["fit"]["size_px"]) == (10, 6)


def test_the_fit_is_of_the_size_that_positions_have(tmp_path):
    save_file(shapes(64), tmp_path / "vit.safetensors")
    config = find(str(tmp_path / "vit.safetensors")).config
    assert config["trunk"]["image_size"] == config["fit"]["size_px"] == 4


# Single files ------------------------------------------------------------------------------------------------------

SHAPE: dict[str, Any] = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4}
SIZES = [(16, 16), (24, 12)]
TIMM_NAMES = (
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.mask_token", "mask_token"),
    ("embeddings.register_tokens", "register_tokens"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("encoder.layer.", "blocks."),
    ("layers.", "blocks."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".attention.output.dense.", ".attn.proj."),
    (".attention.o_proj.", ".attn.proj."),
    (".layer_scale1.lambda1", ".ls1.gamma"),
    (".layer_scale2.lambda1", ".ls2.gamma"),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
    (".mlp.gate_proj.", ".mlp.w12."),
    (".mlp.up_proj.", ".mlp.w12."),
    (".mlp.down_proj.", ".mlp.w3."),
    ("layernorm.", "norm."),
)


def released(model: Any) -> dict[str, Tensor]:
    """Weights of transformers under the names of the original releases, which join what transformers keeps apart."""
    found: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        for theirs, others in TIMM_NAMES:
            name = name.replace(theirs, others)
        for part in ("q_proj", "k_proj", "v_proj"):
            name = name.replace(f".attention.{part}.", ".attn.qkv.")
        found[name] = torch.cat([found[name], tensor]) if name in found else tensor
    return found


def compare(file: Path, family: str, reference: Any, part: str) -> None:
    """A single file against the model of transformers that its weights are from."""
    for dtype, precision in ((torch.float64, "float64"), (torch.float32, "float32")):
        for place, size in enumerate(SIZES):
            model = load(f"pickle:{file}" if file.suffix == ".pth" else file).to(dtype)
            inputs = model.encoder.trunk.normalize(pixels(*size))
            with torch.no_grad():
                expected = deepcopy(reference).to(dtype)(pixel_values=inputs).last_hidden_state
                deviation = difference(all_tokens(model.encoder.trunk(inputs)), expected)
            what = f"{part}, tokens" + (" at another size" if place else "")
            name = f"transformers.{type(reference).__name__}"
            check(LAYOUT, family, name, what, **{precision: deviation})


def vit() -> Any:
    config = transformers.ViTConfig(**SHAPE, intermediate_size=48, image_size=16, layer_norm_eps=1e-6)
    return redrawn(transformers.ViTModel(config, add_pooling_layer=False))


@pytest.mark.parametrize("release", ["DINO", "MAE"])
def test_a_file_of_dino_or_mae(tmp_path, release):
    reference = vit()
    weights = released(reference)
    if release == "DINO":
        file = tmp_path / "dino_checkpoint.pth"
        head = {"module.head.mlp.0.weight": torch.ones(3, 128), "module.head.last_layer.weight_g": torch.ones(3, 1)}
        torch.save({"teacher": {f"module.backbone.{name}": value for name, value in weights.items()} | head}, file)
    else:
        file = tmp_path / "mae_pretrain_vit_full.pth"
        decoder = {"mask_token": torch.ones(1, 1, 8), "decoder_embed.weight": torch.ones(8, 128)}
        torch.save({"model": weights | decoder | {"decoder_pos_embed": torch.ones(1, 17, 8)}}, file)
    model = load(f"pickle:{file}").double()
    images = pixels(16, 16)
    trunk = model.encoder.trunk
    assert trunk.mean == (0.485, 0.456, 0.406)
    assert not trunk.hiding.state_dict()
    assert trunk.positions.resampling.antialias
    inputs = trunk.normalize(images)
    with torch.no_grad():
        expected = reference(pixel_values=inputs).last_hidden_state
        deviation = difference(all_tokens(trunk(inputs)), expected)
    check(LAYOUT, release, "transformers.ViTModel", "file as released, tokens", float64=deviation)


def test_a_file_of_deit_names_its_classes_by_number(tmp_path):
    reference = vit()
    head = {"head.weight": torch.randn(7, 128).double(), "head.bias": torch.randn(7).double()}
    save_file(released(reference) | head, tmp_path / "deit.safetensors")
    model = load(tmp_path / "deit.safetensors").double()
    assert isinstance(model, Classifier)
    assert model.head.classes == tuple(f"class {number}" for number in range(7))
    inputs = model.encoder.trunk.normalize(pixels(16, 16))
    with torch.no_grad():
        cls_token = reference(pixel_values=inputs).last_hidden_state[:, 0]
        expected = cls_token @ head["head.weight"].T + head["head.bias"]
        found = model(pixels(16, 16))
    check(LAYOUT, "DeiT", "transformers.ViTModel", "file as released, logits", float64=difference(found, expected))


@pytest.fixture
def exact_positions(monkeypatch):
    """DINOv2 in transformers resamples positions in float32 whatever the precision of the model."""
    narrow = Tensor.to

    def to(self: Tensor, *words: Any, **named: Any) -> Tensor:
        # As tables of positions are narrowed; modules are moved with more words than this one.
        is_table = (words, named) in (((torch.float32,), {}), ((), {"dtype": torch.float32}))
        return self if self.dtype == torch.float64 and is_table else narrow(self, *words, **named)

    monkeypatch.setattr(Tensor, "to", to)


@pytest.fixture
def scaled_positions(exact_positions, monkeypatch):
    """DINOv2's own code asks for a scale, a little more than the sides need, where transformers asks for the sides."""
    interpolate = torch.nn.functional.interpolate

    def scaled(table: Tensor, size: Any = None, **named: Any) -> Tensor:
        if size is None:
            return interpolate(table, **named)
        scale = [(side + 0.1) / before for side, before in zip(size, table.shape[-2:], strict=True)]
        return interpolate(table, scale_factor=scale, **named)

    monkeypatch.setattr(torch.nn.functional, "interpolate", scaled)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_of_dinov2(tmp_path, scaled_positions, chunked):
    config = transformers.Dinov2Config(**SHAPE, mlp_ratio=1, image_size=16)
    reference = redrawn(transformers.Dinov2Model(config))
    weights = released(reference)
    if chunked:
        weights = {name.replace("blocks.", "blocks.0."): value for name, value in weights.items()}
    file = tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save(weights, file)
    compare(file, "DINOv2", reference, "file as released")
    mask_matters(file, reference)


def test_a_file_of_dinov2_with_registers(tmp_path, exact_positions):
    config = transformers.Dinov2WithRegistersConfig(
        **SHAPE, mlp_ratio=1, image_size=16, num_register_tokens=3, use_swiglu_ffn=True
    )
    reference = redrawn(transformers.Dinov2WithRegistersModel(config))
    file = tmp_path / "dinov2_vitg14_reg4_pretrain.safetensors"
    save_file(released(reference), file)
    compare(file, "DINOv2 with registers", reference, "file as released")
    mask_matters(file, reference)


def mask_matters(file: Path, reference: Any) -> None:
    """Hidden patches are replaced by the file's own token."""
    model = load(f"pickle:{file}" if file.suffix == ".pth" else file).double()
    inputs = model.encoder.trunk.normalize(pixels(16, 16))
    mask = torch.arange(16).remainder(3).eq(0).expand(2, -1)
    with torch.no_grad():
        expected = reference(pixel_values=inputs, bool_masked_pos=mask).last_hidden_state
        found = all_tokens(model.encoder.trunk(inputs, patch_mask=mask))
    assert difference(found, expected) < 1e-9
