"""CLIP of transformers against `chiasm.load`: pictures, texts, both together; its tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from safetensors.torch import load_file, save_file
from vocabularies import NASTY, clip_files

import chiasm
from chiasm.core.errors import InputError
from chiasm.core.files import read_json, write_json
from chiasm.data.tokenizer import Config as Tokenizing
from chiasm.models.dual_encoder import DualEncoder
from chiasm.models.encoder import Encoder
from chiasm.serve.encoder import open_encoder
from chiasm.weights.find import find

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY, REFERENCE = "hf_clip", "CLIP", "transformers.CLIPModel"
END = 99
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "intermediate_size": 48,
}
TEXT: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "vocab_size": 100,
    "max_position_embeddings": 12,
    "eos_token_id": END,
    "bos_token_id": 98,
}
# The first end token counts, not the last; the second text is as long as can be.
TOKENS = torch.tensor(
    [[98, 5, 7, END, END, END, 3, 1, 0, 0, 0, 0], [98, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, END], [98, END] + [0] * 10]
)
DEVIATION = {torch.float64: 0.2, torch.float32: 0.1}
NAMES = {torch.float64: "float64", torch.float32: "float32"}


def clip(tmp_path, deviation: float = 0.2, text: dict[str, Any] | None = None, **changes: Any) -> Any:
    """A reference, and where it was saved."""
    config = transformers.CLIPConfig(
        vision_config={**VISION, **changes}, text_config={**TEXT, **changes, **(text or {})}, projection_dim=20
    )
    reference = redrawn(transformers.CLIPModel(config), deviation=deviation)
    reference.save_pretrained(tmp_path)
    return reference


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_sides_and_their_logits(tmp_path, dtype):
    # At a deviation of 0.2 rounding to float32 grows with the activations; 0.1 keeps them near those of real weights.
    reference = clip(tmp_path, DEVIATION[dtype]).to(dtype)
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
    reference = clip(tmp_path, DEVIATION[dtype]).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    images = pixels(*size)
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        wanted = reference.get_image_features(pixel_values=inputs, interpolate_pos_encoding=True).pooler_output
        found = model.encoder(images)
    check(LAYOUT, FAMILY, REFERENCE, "pictures at another size", **{NAMES[dtype]: difference(found, wanted)})


def test_exact_gelu_and_the_highest_token_where_the_settings_say_so(tmp_path):
    reference = clip(tmp_path, hidden_act="gelu", text={"eos_token_id": 2})
    model = chiasm.load(str(tmp_path))
    # The first 2 is not where it ends.
    tokens = TOKENS.clone()
    tokens[:, 1] = 2
    with torch.no_grad():
        expected = reference(input_ids=tokens, pixel_values=model.encoder.trunk.normalize(pixels(32, 32)))
        found = model(pixels(32, 32), tokens)
    check(LAYOUT, FAMILY, REFERENCE, "logits", float64=difference(found, expected.logits_per_image))


def test_every_weight_matters(tmp_path):
    clip(tmp_path)
    model = chiasm.load(str(tmp_path))
    images = pixels(32, 32)
    assert not unmoved(model, lambda: model(images, TOKENS))


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_the_picture_side_alone(tmp_path, prefix):
    reference = redrawn(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VISION)))
    reference.save_pretrained(tmp_path)
    # Older versions stored it with a prefix and with the numbers of the positions.
    stored = {
        name.removeprefix("vision_model."): tensor for name, tensor in load_file(tmp_path / "model.safetensors").items()
    }
    if prefix:
        stored["embeddings.position_ids"] = torch.arange(17)[None]
    save_file(
        {prefix + name: tensor for name, tensor in stored.items()}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, Encoder)
    assert model.texts is None
    images = pixels(32, 32)
    with torch.no_grad():
        wanted = reference(pixel_values=model.encoder.trunk.normalize(images)).pooler_output
        found = model(images)
    check(LAYOUT, FAMILY, "transformers.CLIPVisionModel", "pictures", float64=difference(found, wanted))


def test_the_picture_side_with_its_projection(tmp_path):
    config = transformers.CLIPVisionConfig(**VISION, projection_dim=20)
    reference = redrawn(transformers.CLIPVisionModelWithProjection(config))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path))
    images = pixels(32, 32)
    with torch.no_grad():
        wanted = reference(pixel_values=model.encoder.trunk.normalize(images)).image_embeds
        found = model(images)
    check(LAYOUT, FAMILY, "transformers.CLIPVisionModelWithProjection", "pictures", float64=difference(found, wanted))


def test_the_text_side_alone_is_refused(tmp_path):
    transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="only reads text"):
        chiasm.load(str(tmp_path))


def test_the_older_key_of_the_settings_wins_as_in_transformers(tmp_path):
    reference = clip(tmp_path)
    settings = read_json(tmp_path / "config.json", "settings")
    settings["text_config_dict"], settings["text_config"] = settings["text_config"], {"hidden_size": 7}
    write_json(tmp_path / "config.json", settings)
    model = chiasm.load(str(tmp_path))
    assert isinstance(model, DualEncoder)
    with torch.no_grad():
        wanted = reference.get_text_features(input_ids=TOKENS).pooler_output
        assert difference(model.text_encoder(TOKENS), wanted) < 1e-9


@pytest.mark.parametrize("form", ["older two files", "tokenizer.json"])
def test_its_tokenizer(tmp_path, form):
    numbers = clip_files(tmp_path)
    text = {"vocab_size": len(numbers), "eos_token_id": len(numbers) - 1}
    clip(tmp_path, text=text)
    reference = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    if form == "tokenizer.json":
        reference.save_pretrained(tmp_path)
        (tmp_path / "vocab.json").unlink()
    stored = find(str(tmp_path))
    settings = stored.config["text"]
    length = settings["trunk"]["context_length"]
    found = Tokenizing(**settings["tokenizer"]).build(stored.tokenizer(), length)(NASTY)
    wanted = reference(NASTY, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    assert found.tolist() == wanted.tolist()


def test_texts_through_the_served_model(tmp_path):
    numbers = clip_files(tmp_path)
    reference = clip(tmp_path, text={"vocab_size": len(numbers), "eos_token_id": len(numbers) - 1})
    side = open_encoder(str(tmp_path)).text
    assert side is not None
    texts = ["a red circle", "a big blue square"]
    tokens = transformers.CLIPTokenizer.from_pretrained(tmp_path)(texts, padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        wanted = reference.get_text_features(input_ids=tokens).pooler_output
    # In bfloat16 where the processor has it.
    cosines = torch.cosine_similarity(torch.from_numpy(side.embed(texts)), wanted.float())
    assert float(cosines.min()) > 0.999
    assert side.logit_scale == pytest.approx(reference.logit_scale.exp().item())
    assert side.logit_bias is None


def test_files_of_another_tokenizer_are_told(tmp_path):
    clip(tmp_path)
    with pytest.raises(InputError, match="can be embedded without it"):
        find(str(tmp_path)).tokenizer()
    write_json(tmp_path / "vocab.json", {"a": 0})
    (tmp_path / "merges.txt").write_text("a b\n")
    with pytest.raises(InputError, match="has no token <|startoftext|>"):
        find(str(tmp_path)).tokenizer()
    write_json(tmp_path / "vocab.json", {"a": 0, "<|startoftext|>": 1, "<|endoftext|>": 2})
    with pytest.raises(InputError, match="merges of known tokens"):
        find(str(tmp_path)).tokenizer()


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    clip(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    for name in (name for name in weights if ".1." not in name):
        save_file({key: value for key, value in weights.items() if key != name}, file)
        with pytest.raises(InputError, match="missing|only reads text|unexpected"):
            chiasm.load(str(tmp_path))
    save_file({**weights, "odd": torch.zeros(1)}, file)
    with pytest.raises(InputError, match="1 unexpected"):
        chiasm.load(str(tmp_path))
