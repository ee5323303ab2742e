"""MPT of transformers against ours, whole and token by token."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch
from references import check, difference, redrawn, unmoved
from safetensors.torch import load_file, save_file
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.files import read_json, write_json
from chiasm.models._store import load_model
from chiasm.models.language import LanguageModel
from chiasm.ops.writing import Stops, beams, greedy
from chiasm.weights.find import find

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY, REFERENCE = "hf_mpt", "MPT", "transformers.MptForCausalLM"
SETTINGS: dict[str, Any] = {"vocab_size": 40, "d_model": 24, "n_layers": 2, "n_heads": 4, "max_seq_len": 32}
TOKENS = torch.randint(2, 40, (3, 11), generator=torch.Generator().manual_seed(5))


def mpt(tmp_path, deviation: float = 0.2, **changes: Any) -> Any:
    """A reference, and where it was saved."""
    reference = transformers.MptForCausalLM(transformers.MptConfig(**{**SETTINGS, **changes}))
    redrawn(reference, deviation=deviation).save_pretrained(tmp_path)
    return reference


def asked(reference: Any, tokens: Tensor) -> Tensor:
    """Logits of the reference, in float64 throughout: it rounds scores to float32 whatever the precision."""
    with torch.no_grad(), patch.object(Tensor, "float", Tensor.double):
        return reference(tokens).logits


def loaded(folder) -> LanguageModel:
    return load_model(find(str(folder)), LanguageModel)


# Six heads are no power of two.
@pytest.mark.parametrize("changes", [{}, {"n_heads": 6}, {"n_heads": 1}, {"n_heads": 3}], ids=str)
def test_logits(tmp_path, changes):
    reference = mpt(tmp_path, **changes)
    with torch.no_grad():
        found = loaded(tmp_path)(TOKENS)
    check(LAYOUT, FAMILY, REFERENCE, "logits", float64=difference(found, asked(reference, TOKENS)))


def test_logits_in_single_precision(tmp_path):
    reference = mpt(tmp_path, deviation=0.1).float()
    with torch.no_grad():
        found, wanted = loaded(tmp_path).float()(TOKENS), reference(TOKENS).logits
    check(LAYOUT, FAMILY, REFERENCE, "logits", float32=difference(found, wanted))


def test_token_by_token(tmp_path):
    wanted, step = asked(mpt(tmp_path), TOKENS), loaded(tmp_path).begin()
    with torch.no_grad():
        found = [step(TOKENS[:, :4], None)]
        found += [step(TOKENS[:, place : place + 1], None) for place in range(4, TOKENS.shape[1])]
    check(LAYOUT, FAMILY, REFERENCE, "token by token", float64=difference(torch.stack(found, dim=1), wanted[:, 3:]))


@pytest.mark.parametrize(("how", "settings"), [(greedy, {}), (beams, {"num_beams": 3})])
def test_texts_are_those_of_transformers(tmp_path, how, settings):
    # Larger numbers, so that texts differ and some end.
    reference = mpt(tmp_path, deviation=0.6)
    rows = reference.generate(
        TOKENS,
        attention_mask=torch.ones_like(TOKENS),
        max_new_tokens=12,
        eos_token_id=1,
        pad_token_id=1,
        do_sample=False,
        **settings,
    )
    wanted = [tuple(row[: row.index(1)] if 1 in row else row) for row in rows[:, TOKENS.shape[1] :].tolist()]
    assert list(how(loaded(tmp_path).begin(), TOKENS, Stops(end=(1,), max_tokens=12)).tokens) == wanted
    assert len(set(wanted)) == len(wanted)


def test_every_weight_matters_and_no_token_knows_later_ones(tmp_path):
    mpt(tmp_path)
    model = loaded(tmp_path)
    assert not unmoved(model, lambda: model(TOKENS))
    changed = TOKENS.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 40
    with torch.no_grad():
        before, after = model(TOKENS), model(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_the_largest_bias_is_read(tmp_path):
    """As MosaicML's own code does it (StoryWriter has 16); transformers takes 8 whatever the settings say."""
    mpt(tmp_path, attn_config={"alibi_bias_max": 16})
    assert find(str(tmp_path)).config["trunk"]["positions"]["max_bias"] == 16


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attn_config": {"clip_qkv": 8}}, "attn_config.clip_qkv"),
        ({"attn_config": {"qk_ln": True}}, "attn_config.qk_ln"),
        ({"attn_config": {"alibi": False}}, "positions other than ALiBi"),
        ({"no_bias": False}, "biases"),
        ({"logit_scale": 0.5}, "logit_scale"),
    ],
)
def test_what_ours_lacks_is_told_in_one_line(tmp_path, changes, said):
    mpt(tmp_path)
    settings = read_json(tmp_path / "config.json", "settings")
    write_json(tmp_path / "config.json", {**settings, **changes})
    with pytest.raises(InputError, match=said):
        find(str(tmp_path))


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    mpt(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    for name in (name for name in weights if ".1." not in name):
        save_file({key: value for key, value in weights.items() if key != name}, file)
        with pytest.raises(InputError, match="1 missing"):
            loaded(tmp_path)
    save_file({**weights, "odd": torch.zeros(1)}, file)
    with pytest.raises(InputError, match="1 unexpected"):
        loaded(tmp_path)
