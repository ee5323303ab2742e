"""GPT-NeoX of transformers against ours, whole and token by token."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch
from references import check, difference, redrawn, unmoved
from safetensors.torch import load_file, save_file
from torch import Tensor

import chiasm
from chiasm.core.errors import InputError
from chiasm.core.files import read_json, write_json
from chiasm.models._store import load_model
from chiasm.models.language import LanguageModel
from chiasm.ops.writing import Stops, beams, greedy
from chiasm.weights.find import find

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY, REFERENCE = "hf_gpt_neox", "GPT-NeoX", "transformers.GPTNeoXForCausalLM"
SETTINGS: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "eos_token_id": 1,
    "attn_implementation": "sdpa",
}
# The reference rounds its frequencies to float32; those of this base are exact there.
EXACT = 256.0
TOKENS = torch.randint(2, 40, (3, 11), generator=torch.Generator().manual_seed(5))


def neox(tmp_path, theta: float = EXACT, share: float = 0.5, deviation: float = 0.2, **changes: Any) -> Any:
    """A reference, and where it was saved."""
    rope = {"rope_type": "default", "rope_theta": theta, "partial_rotary_factor": share}
    reference = transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(**{**SETTINGS, "rope_parameters": rope, **changes})
    )
    rotary = reference.gpt_neox.rotary_emb
    frequencies = rotary.inv_freq.clone()
    redrawn(reference, deviation=deviation)
    # A formula, not a weight; and no part of the file.
    rotary.inv_freq.data = frequencies
    reference.save_pretrained(tmp_path)
    return reference


def asked(reference: Any, tokens: Tensor) -> Tensor:
    """Logits of the reference, in float64 throughout: it turns by angles in float32 whatever the precision."""
    with torch.no_grad(), patch.object(Tensor, "float", Tensor.double):
        return reference(tokens).logits


def loaded(folder) -> LanguageModel:
    return load_model(find(str(folder)), LanguageModel)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_parallel_residual": False, "share": 1.0},
        {"share": 0.25, "num_attention_heads": 4},
        {"attention_bias": False},
        {"tie_word_embeddings": True},
        {"hidden_act": "gelu_new"},
    ],
    ids=str,
)
def test_logits(tmp_path, changes):
    reference = neox(tmp_path, **changes)
    with torch.no_grad():
        found = loaded(tmp_path)(TOKENS)
    check(LAYOUT, FAMILY, REFERENCE, "logits", float64=difference(found, asked(reference, TOKENS)))


def test_logits_in_single_precision_at_the_usual_base(tmp_path):
    reference = neox(tmp_path, theta=10_000.0, deviation=0.1).float()
    with torch.no_grad():
        found, wanted = loaded(tmp_path).float()(TOKENS), reference(TOKENS).logits
    check(LAYOUT, FAMILY, REFERENCE, "logits", float32=difference(found, wanted))


def test_older_settings_and_names_are_read(tmp_path):
    reference = neox(tmp_path)
    settings = read_json(tmp_path / "config.json", "settings")
    rope = settings.pop("rope_parameters")
    write_json(
        tmp_path / "config.json",
        {**settings, "rotary_pct": rope["partial_rotary_factor"], "rotary_emb_base": rope["rope_theta"]},
    )
    file = tmp_path / "model.safetensors"
    masks = {"attention.bias": torch.ones(1, 1, 4, 4), "attention.masked_bias": torch.tensor(-1e9)}
    masks["attention.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(load_file(file) | {f"gpt_neox.layers.0.{name}": mask for name, mask in masks.items()}, file)
    with torch.no_grad():
        assert difference(loaded(tmp_path)(TOKENS), reference(TOKENS).logits) < 1e-9


@pytest.mark.parametrize("parallel", [True, False])
def test_token_by_token(tmp_path, parallel):
    reference = neox(tmp_path, use_parallel_residual=parallel)
    wanted, step = asked(reference, TOKENS), loaded(tmp_path).begin()
    with torch.no_grad():
        found = [step(TOKENS[:, :4], None)]
        found += [step(TOKENS[:, place : place + 1], None) for place in range(4, TOKENS.shape[1])]
    check(LAYOUT, FAMILY, REFERENCE, "token by token", float64=difference(torch.stack(found, dim=1), wanted[:, 3:]))


@pytest.mark.parametrize(("how", "settings"), [(greedy, {}), (beams, {"num_beams": 3})])
def test_texts_are_those_of_transformers(tmp_path, how, settings):
    # Larger numbers, so that texts differ and some end.
    reference = neox(tmp_path, deviation=0.6)
    rows = reference.generate(
        TOKENS, attention_mask=torch.ones_like(TOKENS), max_new_tokens=12, pad_token_id=1, do_sample=False, **settings
    )
    wanted = [tuple(row[: row.index(1)] if 1 in row else row) for row in rows[:, TOKENS.shape[1] :].tolist()]
    assert list(how(loaded(tmp_path).begin(), TOKENS, Stops(end=(1,), max_tokens=12)).tokens) == wanted
    assert len(set(wanted)) == len(wanted)


def test_every_weight_matters_and_no_token_knows_later_ones(tmp_path):
    neox(tmp_path)
    model = loaded(tmp_path)
    assert not unmoved(model, lambda: model(TOKENS))
    changed = TOKENS.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 40
    with torch.no_grad():
        before, after = model(TOKENS), model(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_it_is_no_model_for_pictures(tmp_path):
    neox(tmp_path)
    with pytest.raises(InputError, match="is another"):
        chiasm.load(str(tmp_path))


def test_stretched_positions_are_told(tmp_path):
    neox(tmp_path)
    settings = read_json(tmp_path / "config.json", "settings")
    settings["rope_parameters"]["rope_type"] = "linear"
    write_json(tmp_path / "config.json", settings)
    with pytest.raises(InputError, match=r"stretched ones \(linear\)"):
        find(str(tmp_path))


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    neox(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    for name in (name for name in weights if ".1." not in name and ".2." not in name):
        save_file({key: value for key, value in weights.items() if key != name}, file)
        with pytest.raises(InputError, match="1 missing"):
            loaded(tmp_path)
    save_file({**weights, "odd": torch.zeros(1)}, file)
    with pytest.raises(InputError, match="1 unexpected"):
        loaded(tmp_path)
