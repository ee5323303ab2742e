"""open_clip's CoCa against `chiasm.load`; what it answers was stored by tests/fixtures/make_open_clip_coca.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip_fixtures import FIXTURES, WEIGHTS, answers, copied, exactly
from references import check, difference, unmoved
from safetensors.torch import load_file, save_file
from torch import Tensor

import chiasm
from chiasm.core.errors import InputError
from chiasm.models.coca import CoCa, Understood
from chiasm.ops.writing import Step, Stops, beams, greedy
from chiasm.weights.find import find

LAYOUT, FAMILY = "open_clip_coca", "CoCa"
CASES = ("coca", "coca_quickgelu")
PAD, LENGTH = 0, 12


def loaded(case: str | Path, dtype: torch.dtype = torch.float64) -> CoCa:
    model = chiasm.load(str(FIXTURES / case)).to(dtype)
    assert isinstance(model, CoCa)
    return model


@pytest.fixture(params=CASES)
def case(request) -> str:
    return request.param


@pytest.fixture
def stored(case) -> dict[str, Tensor]:
    return answers(case)


@pytest.fixture
def model(case, monkeypatch) -> CoCa:
    made = loaded(case)
    monkeypatch.setattr(made.encoder.trunk, "normalize", lambda images: exactly(made, images))
    return made


def test_all_parts(case, model, stored):
    single = loaded(case, torch.float32)

    def compare(part: str, name: str, answer: Any) -> None:
        with torch.no_grad():
            in_double, in_single = difference(answer(model), stored[name]), difference(answer(single), stored[name])
        check(LAYOUT, FAMILY, "open_clip.CoCa", part, float64=in_double, float32=in_single)

    compare("pictures", "vectors_0", lambda model: model.encoder(stored["pictures_0"]))
    compare("pictures at another size", "vectors_1", lambda model: model.encoder(stored["pictures_1"]))
    compare("texts", "texts", lambda model: model.text_encoder(stored["tokens"]))
    compare("logits", "logits", lambda model: model(stored["pictures_0"], stored["tokens"]))
    compare("tokens for the decoder", "memory", lambda model: model.see(stored["pictures_0"])[:, 1:])
    compare("next tokens", "next", lambda model: model.understand(stored["pictures_0"], stored["tokens"]).logits)


def test_one_pass_gives_what_each_part_gives(model, stored):
    with torch.no_grad():
        found = model.understand(stored["pictures_0"], stored["tokens"])
    torch.testing.assert_close(found.pictures, stored["vectors_0"])
    torch.testing.assert_close(found.texts, stored["texts"])


def stops(stored: dict[str, Tensor], num_begun: int) -> Stops:
    return Stops(
        (int(stored["end"]),), max_tokens=LENGTH + 1 - num_begun, min_tokens=max(0, 5 - num_begun), banned=(PAD,)
    )


@pytest.mark.parametrize("number", [0, 1, 2])
def test_texts_go_on_as_open_clip_lets_them(model, stored, number):
    """With nothing begun; with the padding's number within what was begun, which hides a place; at the last place."""
    begun = stored[f"begun_{number}"]
    found = greedy(model.begin(model.see(stored["pictures_0"])), begun, stops(stored, begun.shape[1]))
    wanted = [[token for token in row if token >= 0] for row in stored[f"written_{number}"].tolist()]
    assert [
        [*text, *([int(stored["end"])] if ended else [])] for text, ended in zip(found.tokens, found.ended, strict=True)
    ] == wanted


def test_the_stored_texts_differ_and_some_end(stored):
    rows = stored["written_0"].tolist()
    assert len(set(map(tuple, rows))) == 3
    assert 0 < sum(int(stored["end"]) in row for row in rows) < 3


def anew(model: CoCa, seen: Tensor, begun: Tensor) -> Step:
    """Asks the whole model for everything at each step."""
    pictures, texts = seen, begun[:, :0]

    def step(tokens: Tensor, rows: Tensor | None) -> Tensor:
        nonlocal pictures, texts
        if rows is not None:
            pictures, texts = pictures[rows], texts[rows]
        texts = torch.cat([texts, tokens], dim=1)
        return model.decoder(model.text_trunk.together(texts)[:, :-1], pictures[:, 1:])[:, -1]

    return step


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("num_beams", [2, 4])
def test_beams_that_remember_are_beams_that_compute_anew(model, stored, number, num_beams):
    begun, seen = stored[f"begun_{number}"], model.see(stored["pictures_0"])
    when = stops(stored, begun.shape[1])
    found = beams(model.begin(seen), begun, when, num_beams)
    wanted = beams(anew(model, seen, begun), begun, when, num_beams)
    assert found.tokens == wanted.tokens
    assert found.log_probs == pytest.approx(wanted.log_probs, rel=1e-5)
    for row in range(3):
        alone = beams(model.begin(seen[row : row + 1]), begun[:1], when, num_beams)
        assert alone.tokens[0] == found.tokens[row]
    assert len(set(found.tokens)) > 1


def test_every_weight_matters(case, stored):
    model = loaded(case)

    def whole() -> Tensor:
        parts = Understood(*(part.flatten() for part in model.understand(stored["pictures_0"], stored["tokens"])))
        return torch.cat([*parts, model(stored["pictures_0"], stored["tokens"]).flatten()])

    assert not unmoved(model, whole)


def test_picture_and_text_matter_to_what_comes_next(model, stored):
    with torch.no_grad():
        images, tokens = stored["pictures_0"], stored["tokens"]
        before = model.understand(images, tokens)
        other_picture = model.understand(images.roll(1, dims=0), tokens)
        changed = tokens.clone()
        changed[:, 4] = 1 + changed[:, 4] % 50
        other_text = model.understand(images, changed)
    assert (before.logits - other_picture.logits).abs().amax(dim=(1, 2)).min() > 1e-3
    torch.testing.assert_close(before.texts, other_picture.texts)
    assert (before.logits - other_text.logits)[:, 4].abs().amax(dim=1).min() > 1e-3
    torch.testing.assert_close(before.logits[:, :4], other_text.logits[:, :4])
    torch.testing.assert_close(before.pictures, other_text.pictures)


def test_the_late_mask_is_what_the_weights_want(case, model, stored):
    """With the mask in its right place, texts of the same weights would be others."""
    model.text_trunk.mask_is_late = False
    with torch.no_grad():
        assert difference(model.text_encoder(stored["tokens"][1:]), stored["texts"][1:]) > 1e-3
    assert find(str(FIXTURES / case)).config["text"]["trunk"]["mask_is_late"]


def test_settings_that_no_tensor_shows(tmp_path):
    quick = find(str(FIXTURES / "coca_quickgelu")).config
    kinds = [part["mlp"]["kind"] for part in (quick["image"]["trunk"], quick["text"]["trunk"], quick["decoder"])]
    assert kinds == ["gelu_quick"] * 3
    assert quick["image"]["pool"]["by"]["norm_eps"] == quick["decoder"]["norm_eps"] == 1e-5
    assert quick["image"]["pool"]["by"]["last_norm_eps"] == quick["text"]["trunk"]["norm_eps"] == 1e-2
    right = find(str(copied("coca", tmp_path, text_cfg={"correct_cls_mask": True, "pad_id": 3}))).config["text"]
    assert (right["trunk"]["mask_is_late"], right["trunk"]["padding"]) == (False, 3)


def test_a_single_file_is_told_by_its_names(tmp_path):
    """Heads are then as wide and as many as in the published models, so these numbers are not compared."""
    weights = load_file(FIXTURES / "coca" / WEIGHTS)
    # Earlier versions stored masks among the weights.
    weights |= {f"{side}.attn_mask": torch.zeros(2, 2) for side in ("text", "text_decoder")}
    save_file(weights, tmp_path / "coca.safetensors")
    model = loaded(tmp_path / "coca.safetensors")
    assert model.text_trunk.context_length == LENGTH
    assert model.text_trunk.mask_is_late
    assert model.image_encoder.trunk.image_size == 16


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("vision_cfg", {"attentional_pool": "cascade"}, "vision_cfg.attentional_pool"),
        ("vision_cfg", {"pool_type": "avg"}, "'avg' came"),
        ("vision_cfg", {"qk_norm": True}, "vision_cfg.qk_norm"),
        ("text_cfg", {"no_causal_mask": True}, "no_causal_mask came"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "hf_model_name"),
    ],
)
def test_what_ours_lacks_is_told_in_one_line(tmp_path, key, values, said):
    with pytest.raises(InputError, match=said):
        find(str(copied("coca", tmp_path, **{key: values})))


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    folder = copied("coca", tmp_path)
    weights = load_file(folder / WEIGHTS)
    for name in weights:
        save_file({key: value for key, value in weights.items() if key != name}, folder / WEIGHTS)
        with pytest.raises(InputError, match="missing|has another or none|has no"):
            loaded(folder)
    save_file({**weights, "text_decoder.odd": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(InputError, match="1 unexpected"):
        loaded(folder)


def test_a_decoder_without_a_pooler_of_pictures_is_refused(tmp_path):
    weights = load_file(FIXTURES / "clip" / WEIGHTS) | {"text_decoder.text_projection": torch.zeros(2, 2)}
    save_file(weights, tmp_path / "coca.safetensors")
    with pytest.raises(InputError, match="attentional pooler"):
        find(str(tmp_path / "coca.safetensors"))
