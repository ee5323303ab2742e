"""SigLIP and SigLIP 2 of transformers against `chiasm.load`: pictures, texts, both together; tokenizers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from safetensors.torch import load_file, save_file
from torch.nn import functional
from vocabularies import NASTY, gemma_files

import chiasm
from chiasm.core.errors import InputError
from chiasm.data.tokenizer import Config as Tokenizing
from chiasm.models.dual_encoder import DualEncoder
from chiasm.models.encoder import Encoder
from chiasm.ops.patches import patchify
from chiasm.serve.encoder import open_encoder
from chiasm.weights.find import find

transformers = pytest.importorskip("transformers")
SENTENCEPIECE = Path(__file__).parents[2] / "fixtures" / "sentencepiece"
LAYOUT, FAMILY, REFERENCE = "hf_siglip", "SigLIP", "transformers.SiglipModel"
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "intermediate_size": 44,
}
TEXT: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "vocab_size": 100,
    "max_position_embeddings": 12,
    "projection_size": 32,
}
TOKENS = torch.tensor([[5, 7, 9, *[1] * 9], list(range(30, 42)), [1] * 12])
NAMES = {torch.float64: "float64", torch.float32: "float32"}
# At a deviation of 0.2 rounding to float32 grows with the activations; 0.1 keeps them near those of real weights.
DEVIATION = {torch.float64: 0.2, torch.float32: 0.1}


def siglip(tmp_path, deviation: float = 0.2) -> Any:
    """A reference, saved."""
    config = transformers.SiglipConfig(vision_config=VISION, text_config=TEXT)
    reference = redrawn(transformers.SiglipModel(config), deviation=deviation)
    reference.save_pretrained(tmp_path)
    return reference


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_sides_and_their_logits(tmp_path, dtype):
    reference = siglip(tmp_path, DEVIATION[dtype]).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    assert isinstance(model, DualEncoder)
    images = pixels(32, 32)
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        expected = reference(input_ids=TOKENS, pixel_values=inputs)
        picture = reference.get_image_features(pixel_values=inputs).pooler_output
        text = reference.get_text_features(input_ids=TOKENS).pooler_output
        for part, found, wanted in (
            ("pictures", model.encoder(images), picture),
            ("texts", model.text_encoder(TOKENS), text),
            ("logits", model(images, TOKENS), expected.logits_per_image),
        ):
            check(LAYOUT, FAMILY, REFERENCE, part, **{NAMES[dtype]: difference(found, wanted)})


@pytest.mark.parametrize("size", [(48, 24), (16, 64)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_pictures_at_another_size(tmp_path, size, dtype):
    reference = siglip(tmp_path, DEVIATION[dtype]).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    images = pixels(*size)
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        wanted = reference.get_image_features(pixel_values=inputs, interpolate_pos_encoding=True).pooler_output
        found = model.encoder(images)
    check(LAYOUT, FAMILY, REFERENCE, "pictures at another size", **{NAMES[dtype]: difference(found, wanted)})


def test_every_weight_matters(tmp_path):
    siglip(tmp_path)
    model = chiasm.load(str(tmp_path))
    images = pixels(32, 32)
    assert not unmoved(model, lambda: model(images, TOKENS))


def test_padding_and_every_token_after_matter(tmp_path):
    siglip(tmp_path)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, DualEncoder)
    with torch.no_grad():
        whole, cut = model.text_encoder(TOKENS[:1]), model.text_encoder(TOKENS[:1, :4])
    assert difference(whole, cut) > 1e-3
    assert model.text_encoder.lengths(TOKENS).tolist() == [12, 12, 12]


def test_the_picture_side_alone(tmp_path):
    reference = redrawn(transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**VISION)))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Encoder)
    images = pixels(32, 32)
    with torch.no_grad():
        wanted = reference(pixel_values=model.encoder.trunk.normalize(images)).pooler_output
        found = model(images)
    check(LAYOUT, FAMILY, "transformers.SiglipVisionModel", "pictures", float64=difference(found, wanted))


def test_the_picture_side_without_its_head_gives_its_mean(tmp_path):
    config = transformers.SiglipVisionConfig(**VISION, vision_use_head=False)
    reference = redrawn(transformers.SiglipVisionModel(config))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    images = pixels(32, 32)
    with torch.no_grad():
        wanted = reference(pixel_values=model.encoder.trunk.normalize(images)).last_hidden_state.mean(dim=1)
        found = model(images)
    check(LAYOUT, FAMILY, "transformers.SiglipVisionModel", "mean of tokens", float64=difference(found, wanted))


def test_pictures_that_patches_do_not_fill(tmp_path):
    """So400m has 27 patches of 14 px in 384 px; its convolution leaves out the rest on the right and below."""
    config = transformers.SiglipVisionConfig(**VISION | {"image_size": 35})
    reference = redrawn(transformers.SiglipVisionModel(config))
    reference.save_pretrained(tmp_path)
    transformers.SiglipImageProcessorPil(size={"height": 35, "width": 35}).save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Encoder)
    assert model.trunk.image_size == model.fit.side_px(model.trunk.image_size) == 32
    photo = pixels(61, 90, batch=1)[0].permute(1, 2, 0).numpy()
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    seen = processor(photo, return_tensors="pt").pixel_values.double()
    square = torch.tensor(model.fit(photo, 32)).permute(2, 0, 1)[None]
    with torch.no_grad():
        wanted = reference(pixel_values=seen).pooler_output
        found = model(square)
    assert difference(model.trunk.normalize(square), seen[..., :32, :32]) < 1e-6
    assert difference(found, wanted) < 1e-5


def test_the_text_side_alone_is_refused(tmp_path):
    transformers.SiglipTextModel(transformers.SiglipTextConfig(**TEXT)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="only reads text"):
        chiasm.load(str(tmp_path))


NAFLEX = {key: value for key, value in VISION.items() if key != "image_size"} | {"num_patches": 16}


def naflex_inputs(model: Any, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Pictures as the reference takes them: patches whose pixels hold their channels one after the other."""
    inputs = model.encoder.trunk.normalize(images)
    patches = patchify(inputs, 8).unflatten(2, (3, 8, 8)).permute(0, 1, 3, 4, 2).flatten(2)
    grid = torch.tensor([[images.shape[-2] // 8, images.shape[-1] // 8]] * len(images))
    mask = torch.ones(patches.shape[:2], dtype=torch.int64)
    return {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": grid}


@pytest.mark.parametrize("size", [(32, 32), (48, 24)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_naflex(tmp_path, size, dtype, monkeypatch):
    config = transformers.Siglip2Config(vision_config=NAFLEX, text_config=TEXT)
    reference = redrawn(transformers.Siglip2Model(config), deviation=DEVIATION[dtype])
    reference.save_pretrained(tmp_path)
    reference = reference.to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    assert isinstance(model, DualEncoder)
    assert model.encoder.trunk.image_size == 32
    images = pixels(*size)
    inputs = naflex_inputs(model, images)
    table = reference.vision_model.embeddings.position_embedding.weight.detach().unflatten(0, (4, 4))
    grid = (size[0] // 8, size[1] // 8)

    def exactly(*_: Any, max_length: int) -> torch.Tensor:
        # The reference resamples in float32, also what is in float64.
        resampled = functional.interpolate(table.permute(2, 0, 1)[None], grid, mode="bilinear", antialias=True)
        assert max_length == grid[0] * grid[1]
        return resampled.flatten(2).transpose(1, 2)

    monkeypatch.setattr(reference.vision_model.embeddings, "resize_positional_embeddings", exactly)
    with torch.no_grad():
        wanted = reference(input_ids=TOKENS, **inputs).logits_per_image
        found = model(images, TOKENS)
    part = "logits" if size == (32, 32) else "logits at another size"
    name, figure = NAMES[dtype], difference(found, wanted)
    check(LAYOUT, "SigLIP 2", "transformers.Siglip2Model", part, **{name: figure})
    monkeypatch.undo()
    with torch.no_grad():
        assert difference(reference(input_ids=TOKENS, **inputs).logits_per_image, wanted) < 1e-4


def test_its_tokenizer(tmp_path):
    """The tokens were made by transformers and sentencepiece; see tests/fixtures/make_sentencepiece.py."""
    siglip(tmp_path)
    for file in ("spiece.model", "tokenizer_config.json"):
        shutil.copy(SENTENCEPIECE / file, tmp_path)
    stored = find(str(tmp_path))
    wanted = json.loads((SENTENCEPIECE / "tokens.json").read_text())
    found = Tokenizing(**stored.config["text"]["tokenizer"]).build(stored.tokenizer(), len(wanted[0]))(NASTY)
    assert found.tolist() == wanted
    assert any(2 in row for row in wanted), "no text has an unknown token"


def test_a_damaged_or_other_sentencepiece_file_is_told(tmp_path):
    siglip(tmp_path)
    content = (SENTENCEPIECE / "spiece.model").read_bytes()
    for broken, words in (
        (content[:-1], "cannot be read"),
        (b"\x0b", "cannot be read"),
        (b"", "that of .* is another"),
    ):
        (tmp_path / "spiece.model").write_bytes(broken)
        with pytest.raises(InputError, match=words):
            find(str(tmp_path)).tokenizer()


def test_the_tokenizer_of_siglip_2(tmp_path):
    vocabulary, merges = gemma_files()
    reference = transformers.Siglip2Tokenizer(vocabulary, merges, add_eos_token=True, padding_side="right")
    reference.save_pretrained(tmp_path)
    config = transformers.SiglipConfig(vision_config=VISION, text_config=TEXT | {"vocab_size": len(vocabulary)})
    redrawn(transformers.SiglipModel(config)).save_pretrained(tmp_path)
    stored = find(str(tmp_path))
    tokenizing = Tokenizing(**stored.config["text"]["tokenizer"])
    assert tokenizing.cleaning == ("lower",)
    found = tokenizing.build(stored.tokenizer(), 24)(NASTY)
    wanted = reference(NASTY, padding="max_length", max_length=24, truncation=True, return_tensors="pt").input_ids
    assert found.tolist() == wanted.tolist()
    assert (found == vocabulary["<eos>"]).sum(dim=1).tolist() == [1] * len(NASTY)


def test_texts_through_the_served_model(tmp_path):
    reference = siglip(tmp_path)
    vocabulary, merges = gemma_files()
    transformers.Siglip2Tokenizer(vocabulary, merges, add_eos_token=True).save_pretrained(tmp_path)
    assert len(vocabulary) > TEXT["vocab_size"]
    side = open_encoder(str(tmp_path)).text
    assert side is not None
    assert side.logit_bias == pytest.approx(reference.logit_bias.item())
    with pytest.raises(InputError, match="at most 100 tokens"):
        side.embed(["a cat"])


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    siglip(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    for name in (name for name in weights if ".1." not in name):
        save_file({key: value for key, value in weights.items() if key != name}, file)
        with pytest.raises(InputError, match="missing|only reads text|unexpected"):
            chiasm.load(str(tmp_path))
    save_file({**weights, "odd": torch.zeros(1)}, file)
    with pytest.raises(InputError, match="1 unexpected"):
        chiasm.load(str(tmp_path))
