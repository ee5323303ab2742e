"""open_clip's models against `chiasm.load`; what they answer was stored by tests/fixtures/make_open_clip.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip_fixtures import FIXTURES, WEIGHTS, answers, copied, exactly
from references import check, difference, unmoved
from safetensors.torch import load_file, save_file
from vocabularies import NASTY, clip_files

import chiasm
from chiasm.core.errors import InputError
from chiasm.data._cleaning import STEPS
from chiasm.data.tokenizer import Config as Tokenizing
from chiasm.models.dual_encoder import DualEncoder
from chiasm.weights.find import find

LAYOUT = "open_clip"
FAMILIES = {
    "clip": ("CLIP", "open_clip.CLIP"),
    "clip_quickgelu": ("CLIP", "open_clip.CustomTextCLIP"),
    "clipa": ("CLIPA", "open_clip.CLIP"),
    "clip_timm": ("CLIP", "open_clip.CustomTextCLIP"),
    "siglip": ("SigLIP", "open_clip.CustomTextCLIP"),
}


def loaded(case: str | Path, dtype: torch.dtype = torch.float64) -> DualEncoder:
    model = chiasm.load(str(FIXTURES / case)).to(dtype)
    assert isinstance(model, DualEncoder)
    return model


@pytest.mark.parametrize("case", FAMILIES)
def test_both_sides_and_their_logits(case, monkeypatch):
    model, expected = loaded(case), answers(case)
    monkeypatch.setattr(model.encoder.trunk, "normalize", lambda images: exactly(model, images))
    single = loaded(case, torch.float32)
    family, reference = FAMILIES[case]

    def compare(part: str, name: str, answer: Any) -> None:
        with torch.no_grad():
            in_double, in_single = difference(answer(model), expected[name]), difference(answer(single), expected[name])
        check(LAYOUT, family, reference, part, float64=in_double, float32=in_single)

    compare("pictures", "vectors_0", lambda model: model.encoder(expected["pictures_0"]))
    compare("pictures at another size", "vectors_1", lambda model: model.encoder(expected["pictures_1"]))
    compare("texts", "texts", lambda model: model.text_encoder(expected["tokens"]))
    compare("logits", "logits", lambda model: model(expected["pictures_0"], expected["tokens"]))


@pytest.mark.parametrize("case", FAMILIES)
def test_every_weight_matters(case):
    model, stored = loaded(case), answers(case)
    assert not unmoved(model, lambda: model(stored["pictures_0"], stored["tokens"]))


def test_a_single_file_is_told_by_its_names(tmp_path):
    config = {"embed_dim": 12, "patch": 4, "grid": 4}
    weights = clip_weights(**config)
    for name, kind in (("vit_b_32", "gelu"), ("vit_b_32-quickgelu", "gelu_quick")):
        file = tmp_path / f"{name}.safetensors"
        save_file(weights, file)
        stored = find(str(file))
        image, text = stored.config["image"], stored.config["text"]
        assert image["trunk"]["mlp"]["kind"] == text["trunk"]["mlp"]["kind"] == kind
        assert (image["trunk"]["num_heads"], text["trunk"]["num_heads"]) == (2, 1)
        assert image["trunk"]["image_size"] == 16
        assert loaded(file).text_encoder.trunk.looks_back
        with pytest.raises(InputError, match="is a single file"):
            stored.tokenizer()


def clip_weights(embed_dim: int, patch: int, grid: int) -> dict[str, torch.Tensor]:
    """Weights of a CLIP whose heads are 64 wide, under the names of OpenAI's and open_clip's single files."""
    shapes: dict[str, tuple[int, ...]] = {
        "visual.conv1.weight": (128, 3, patch, patch),
        "visual.class_embedding": (128,),
        "visual.positional_embedding": (grid * grid + 1, 128),
        "visual.proj": (128, embed_dim),
        "token_embedding.weight": (60, 64),
        "positional_embedding": (8, 64),
        "text_projection": (64, embed_dim),
        "logit_scale": (),
    }
    norms = {"visual.ln_pre": 128, "visual.ln_post": 128, "ln_final": 64}
    for side, width in (("visual.transformer.resblocks.0.", 128), ("transformer.resblocks.0.", 64)):
        norms |= {f"{side}ln_1": width, f"{side}ln_2": width}
        maps = {"attn.in_proj_": (3 * width, width), "attn.out_proj.": (width, width)}
        maps |= {"mlp.c_fc.": (32, width), "mlp.c_proj.": (width, 32)}
        for name, shape in maps.items():
            shapes |= {f"{side}{name}weight": shape, f"{side}{name}bias": shape[:1]}
    for name, width in norms.items():
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    told = {"input_resolution": 16, "context_length": 8, "vocab_size": 60}
    return {name: torch.randn(shape) for name, shape in shapes.items()} | {
        name: torch.tensor(number) for name, number in told.items()
    }


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("vision_cfg", {"layers": [3, 4, 6, 3]}, "ResNet"),
        ("vision_cfg", {"attentional_pool": "parallel"}, "attentional_pool"),
        ("vision_cfg", {"qk_norm": True}, "vision_cfg.qk_norm"),
        ("vision_cfg", {"pool_type": "none"}, "pool_type of tok or avg"),
        ("vision_cfg", {"act_kwargs": {"approximate": "sigmoid"}}, "'sigmoid' came"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "hf_model_name"),
        ("text_cfg", {"pool_type": "first"}, "pool_type of texts"),
        ("text_cfg", {"tokenizer_kwargs": {"strip_sep_token": True}}, "strip_sep_token"),
        ("text_cfg", {"tokenizer_kwargs": {"clean": "odd"}}, "'odd' came"),
    ],
)
def test_what_ours_lacks_is_told_in_one_line(tmp_path, key, values, said):
    with pytest.raises(InputError, match=said):
        find(str(copied("clip", tmp_path, **{key: values})))


def test_other_picture_sides_of_timm_are_told(tmp_path):
    for named in ("eva02_base_patch16_clip_224", "convnext_base"):
        with pytest.raises(InputError, match=named):
            find(str(copied("siglip", tmp_path, vision_cfg={"timm_model_name": named})))


def test_pictures_are_made_as_the_settings_say(tmp_path):
    clip, siglip = (find(str(FIXTURES / case)).config["image"] for case in ("clip", "siglip"))
    assert clip["fit"]["kind"] == "shorter_side"
    assert siglip["fit"]["kind"] == "both_sides"
    assert clip["trunk"]["mean"][0] == pytest.approx(0.48145466)
    assert siglip["trunk"]["std"] == (0.5, 0.5, 0.5)
    beyond = find(str(copied("siglip", tmp_path, vision_cfg={"image_size": 18}))).config["image"]
    assert (beyond["fit"]["resize_px"], beyond["fit"]["size_px"], beyond["fit"]["middle"]) == (18, 16, "start")


def test_its_own_tokenizer(tmp_path):
    """OpenAI's vocabulary lies beside the weights; open_clip cleans texts by itself and fills up with 0."""
    numbers = clip_files(tmp_path)
    stored = find(str(copied("clip", tmp_path)))
    tokenizing = Tokenizing(**stored.config["text"]["tokenizer"])
    found = tokenizing.build(stored.tokenizer(), 24)(["A  \u201cred\u201d &amp;amp; cat"])
    plain = tokenizing.build(stored.tokenizer(), 24)(['a "red" & cat'])
    assert found.tolist() == plain.tolist()
    assert found[0, -1] == 0
    assert tokenizing.build(stored.tokenizer(), 8)(NASTY).max() == numbers["<|endoftext|>"]


@pytest.mark.parametrize("way", ["lower", "whitespace", "canonicalize"])
def test_texts_are_cleaned_as_open_clip_does_it(tmp_path, way):
    wanted = json.loads((FIXTURES / "cleaned.json").read_text(encoding="utf-8"))[way]
    settings = find(str(copied("siglip", tmp_path, text_cfg={"tokenizer_kwargs": {"clean": way}}))).config["text"]
    for text, expected in zip(NASTY, wanted, strict=True):
        for step in settings["tokenizer"]["cleaning"]:
            text = STEPS[step](text)
        assert text == expected


def test_the_tokenizer_of_siglip(tmp_path):
    shutil.copytree(FIXTURES.parent / "sentencepiece", tmp_path, dirs_exist_ok=True)
    stored = find(str(copied("siglip", tmp_path)))
    wanted = json.loads((tmp_path / "tokens.json").read_text())
    tokenizing = Tokenizing(**stored.config["text"]["tokenizer"])
    assert tokenizing.padding == 1
    # Cleaned by transformers and by open_clip alike, but for entities, tags, underscores and controls.
    plain = [place for place, text in enumerate(NASTY) if text.isascii() and not set(text) & set("&<_\x07\x1b")]
    assert len(plain) > 4
    found = tokenizing.build(stored.tokenizer(), len(wanted[0]))([NASTY[place] for place in plain])
    assert found.tolist() == [wanted[place] for place in plain]
    assert (
        tokenizing.build(stored.tokenizer(), 9)(["a_cat"]).tolist()
        == tokenizing.build(stored.tokenizer(), 9)(["A cat!"]).tolist()
    )


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    """Of any tensor that is left out, its absence is told: in the table, or at once where it tells a size."""
    folder = copied("clip", tmp_path)
    weights = load_file(folder / WEIGHTS)
    for name in (name for name in weights if ".1." not in name):
        save_file({key: value for key, value in weights.items() if key != name}, folder / WEIGHTS)
        with pytest.raises(InputError, match="missing|has another or none"):
            loaded(folder)
    save_file({**weights, "visual.odd": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(InputError, match="1 unexpected"):
        loaded(folder)
