"""OpenFlamingo against `chiasm.load`; what it answers was stored by tests/fixtures/make_open_flamingo.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from references import FLOAT64, check, difference, redrawn, unmoved
from safetensors.torch import load_file, save_file

import chiasm
from chiasm.core.errors import InputError
from chiasm.core.files import read_json, write_json
from chiasm.models.flamingo import Flamingo
from chiasm.ops.writing import Stops, Written, beams, greedy
from chiasm.weights.find import find

LAYOUT, FAMILY, REFERENCE = "open_flamingo", "OpenFlamingo", "open_flamingo.Flamingo (fixture)"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "open_flamingo"
CASES = ("neox", "mpt")
END, PICTURE = 37, 38
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def answers(case: str) -> dict[str, torch.Tensor]:
    with np.load(FIXTURES / case / "answers.npz") as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def loaded(case: str | Path, dtype: torch.dtype = torch.float64) -> Flamingo:
    model = chiasm.load(str(FIXTURES / case)).to(dtype)
    assert isinstance(model, Flamingo)
    return model


def exactly(model: Flamingo, monkeypatch) -> Flamingo:
    """With pixels normalised in float64, as they were for the stored answers; ours are in float32."""
    settings = model.config.model_dump()["image"]["trunk"]
    mean, std = (torch.tensor(settings[key], dtype=torch.float64).view(-1, 1, 1) for key in ("mean", "std"))
    monkeypatch.setattr(model.encoder.trunk, "normalize", lambda images: (images.double() / 255 - mean) / std)
    return model


def latents(model: Flamingo, pictures: torch.Tensor) -> torch.Tensor:
    return model.see(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])


def logits(model: Flamingo, pictures: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return model(latents(model, pictures), tokens, tokens == PICTURE)


def copied(case: str, folder: Path, **settings: Any) -> Path:
    """A case in another folder, with other settings."""
    shutil.copytree(FIXTURES / case, folder, dirs_exist_ok=True)
    write_json(folder / CONFIG, {**read_json(folder / CONFIG, "settings"), **settings})
    return folder


@pytest.mark.parametrize("case", CASES)
def test_pictures_texts_and_their_logits(case, monkeypatch):
    model, stored = exactly(loaded(case), monkeypatch), answers(case)
    single = loaded(case, torch.float32)

    def compare(part: str, name: str, answer: Any) -> None:
        with torch.no_grad():
            in_double, in_single = difference(answer(model), stored[name]), difference(answer(single), stored[name])
        check(LAYOUT, FAMILY, REFERENCE, part, float64=in_double, float32=in_single)

    def patches(model: Flamingo) -> torch.Tensor:
        return model.encoder.trunk(model.encoder.trunk.normalize(stored["pictures"].flatten(0, 1))).patches

    compare("patches before the final norm", "patches", patches)
    compare("latents", "latents", lambda model: latents(model, stored["pictures"]))
    compare("logits", "logits", lambda model: logits(model, stored["pictures"], stored["tokens"]))
    compare("logits", "changed_logits", lambda model: logits(model, stored["pictures"], stored["changed"]))


@pytest.mark.parametrize("case", CASES)
def test_texts_are_those_of_open_flamingo(case, monkeypatch):
    model, stored = exactly(loaded(case), monkeypatch), answers(case)
    stops = Stops(end=(END,), max_tokens=8, banned=(PICTURE,))
    with torch.no_grad():
        seen = latents(model, stored["pictures"])
    for way, name in ((greedy, "captions"), (beams, "beams")):
        found: Written = way(model.begin(seen, PICTURE), stored["tokens"], stops)
        rows = [tuple(row[: row.index(END)] if END in row else row) for row in stored[name].tolist()]
        assert list(found.tokens) == rows
        assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("case", CASES)
def test_every_weight_matters(case):
    model, stored = loaded(case), answers(case)

    def answer() -> torch.Tensor:
        vectors = model.encoder(stored["pictures"][:, 0]).flatten()
        return torch.cat([logits(model, stored["pictures"], stored["tokens"]).flatten(), vectors])

    assert not unmoved(model, answer)


@pytest.mark.parametrize("case", CASES)
def test_a_token_sees_the_picture_before_it_and_no_other(case):
    model, stored = loaded(case), answers(case)
    pictures, tokens = stored["pictures"], stored["tokens"]
    with torch.no_grad():
        before = logits(model, pictures, tokens)
        for number in range(2):
            changed = pictures.clone()
            changed[:, number] = 255 - changed[:, number]
            after = logits(model, changed, tokens)
            for row, text in enumerate(tokens):
                place = (text == PICTURE).nonzero().flatten()[number]
                torch.testing.assert_close(after[row, :place], before[row, :place])
                assert not torch.allclose(after[row, place:], before[row, place:])


def test_a_clip_of_transformers_serves_as_well(tmp_path):
    """Its last hidden state is not normed either, but has the class token."""
    transformers = pytest.importorskip("transformers")
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    vision = transformers.CLIPVisionConfig(**shape, image_size=16, patch_size=4)
    reference = redrawn(transformers.CLIPVisionModel(vision))
    folder = copied("mpt", tmp_path, parts={"vision": "clip", "language": "language"})
    reference.save_pretrained(folder / "clip")
    model, images = loaded(folder), answers("mpt")["pictures"][:, 0]
    inputs = model.encoder.trunk.normalize(images)
    with torch.no_grad():
        wanted = reference(pixel_values=inputs)
        assert difference(model.encoder.trunk(inputs).patches, wanted.last_hidden_state[:, 1:]) < FLOAT64
        assert difference(model.encoder(images), wanted.pooler_output) < FLOAT64


def test_what_was_trained_replaces_what_was_there(tmp_path):
    """The tables of the language model are those of the checkpoint, and as long."""
    model, stored = loaded("neox"), load_file(FIXTURES / "neox" / WEIGHTS)
    table = stored["lang_encoder.gpt_neox.embed_in.weight"].double()
    torch.testing.assert_close(model.language.trunk.token_embedding.weight.data, table)
    assert model.language.trunk.vocab_size == len(table) == 40
    assert find(str(FIXTURES / "neox" / "language")).config["trunk"]["vocab_size"] == 36
    # Where the checkpoint lacks the table for writing, the language model's is cut to the length of the other.
    folder = copied("neox", tmp_path)
    kept = {name: tensor for name, tensor in stored.items() if "embed_out" not in name}
    kept["lang_encoder.gpt_neox.embed_in.weight"] = kept["lang_encoder.gpt_neox.embed_in.weight"][:30].clone()
    save_file(kept, folder / WEIGHTS)
    whole = load_file(folder / "language" / WEIGHTS)["embed_out.weight"].double()
    cut = loaded(folder).language.next_token
    assert cut is not None
    torch.testing.assert_close(cut.data, whole[:30])


def test_checkpoints_as_published(tmp_path):
    """Pickled, one level down, with a prefix, layers stored twice and masks of the frozen blocks among them."""
    folder, wanted = copied("neox", tmp_path), loaded("neox").state_dict()
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    twice = {
        name.replace("gpt_neox.layers.", "gated_cross_attn_layers.").replace(".gated_cross_attn_layer.", "."): tensor
        for name, tensor in weights.items()
        if ".gated_cross_attn_layer." in name
    }
    block = "lang_encoder.gpt_neox.layers.0.decoder_layer.attention."
    masks = {f"{block}bias": torch.ones(1, 1, 4, 4), f"{block}rotary_emb.inv_freq": torch.ones(4)}
    stored = {f"module.{name}": tensor for name, tensor in (weights | twice | masks).items()}
    torch.save({"epoch": 1, "model_state_dict": stored}, folder / "checkpoint.pt")
    with pytest.raises(InputError, match="pickles can carry code"):
        find(str(folder))
    found = chiasm.load(f"pickle:{folder}").double().state_dict()
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor)


def test_parts_may_be_pickled_only_where_the_whole_may(tmp_path):
    folder = copied("mpt", tmp_path, parts={"vision": "vision", "language": "pickle:language"})
    torch.save(load_file(folder / "language" / WEIGHTS), folder / "language" / "pytorch_model.bin")
    (folder / "language" / WEIGHTS).unlink()
    with pytest.raises(InputError, match="names pickle:language as its language"):
        find(str(folder))
    torch.save(load_file(folder / WEIGHTS), folder / "checkpoint.pt")
    assert isinstance(chiasm.load(f"pickle:{folder}"), Flamingo)


def test_the_whole_is_another_when_a_part_is(tmp_path):
    folder = copied("mpt", tmp_path)
    before = find(str(folder)).fingerprint
    file = folder / "language" / WEIGHTS
    weights = load_file(file)
    weights["transformer.norm_f.weight"] += 1
    save_file(weights, file)
    after = find(str(folder))
    assert before != after.fingerprint
    parts = sum(find(str(folder / part)).num_parameters() for part in ("vision", "language"))
    assert after.num_parameters() == parts + sum(tensor.numel() for tensor in load_file(folder / WEIGHTS).values())


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "the vision part"),
        ({"vision": "vision"}, "the language part"),
        ({"vision": "vision", "language": "vision"}, "a language model as the language part"),
        ({"vision": "language", "language": "language"}, "the picture side of a CLIP"),
        ({"vision": "nowhere", "language": "language"}, "nowhere is none of them"),
        ({"vision": 3, "language": "language"}, "names of models as parts"),
        ("vision", "names of models as parts"),
        ({"vision": "vision", "language": "."}, "the vision part"),
    ],
    ids=str,
)
def test_parts_that_are_not_there_are_told_in_one_line(tmp_path, parts, said):
    folder = copied("mpt", tmp_path, parts=parts)
    with pytest.raises(InputError, match=said):
        find(str(folder))


def test_gated_layers_must_suit_the_language_model(tmp_path):
    folder = copied("neox", tmp_path)
    settings = read_json(folder / "language" / CONFIG, "settings")
    write_json(folder / "language" / CONFIG, {**settings, "num_hidden_layers": 7})
    with pytest.raises(InputError, match="before the blocks 1, 3 of 7"):
        find(str(folder))


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    folder = copied("mpt", tmp_path)
    weights = load_file(folder / WEIGHTS)
    for name in (name for name in weights if ".1." not in name and "wte" not in name):
        save_file({key: value for key, value in weights.items() if key != name}, folder / WEIGHTS)
        with pytest.raises(InputError, match="missing"):
            loaded(folder)
    save_file({**weights, "perceiver.odd": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(InputError, match="1 unexpected"):
        loaded(folder)
    save_file({**weights, "perceiver.frame_embs": torch.zeros(1, 16)}, folder / WEIGHTS)
    with pytest.raises(InputError, match="numbers frames"):
        loaded(folder)
    save_file({name: weight for name, weight in weights.items() if "gated" not in name}, folder / WEIGHTS)
    with pytest.raises(InputError, match="gated layers"):
        loaded(folder)
