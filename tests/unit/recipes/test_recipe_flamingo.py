"""Flamingo as a run: with a language model that begins at random, and with a trained one that stays as it is."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer as Vocabulary
from tokenizers import decoders, models, pre_tokenizers, trainers

from chiasm.core.errors import InputError
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.heads import gated_layers, resampler
from chiasm.models import language, load_language_model, load_picture_model
from chiasm.models._store import save_model
from chiasm.models.flamingo import Flamingo
from chiasm.objectives import flamingo as method
from chiasm.recipes.flamingo import flamingo
from chiasm.serve.writer import open_writer
from chiasm.trunks import language as transformers
from chiasm.trunks import vit
from chiasm.weights.card import Card

WORLD = "world:train?size=32&length=24&objects=1"
TRUNK = vit.Config(image_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)
OBJECTIVE = method.Config(
    language=method.SmallLanguage(vocab_size=300, embed_dim=16, depth=2, num_heads=2),
    resampler=resampler.Config(num_latents=3, depth=1, num_heads=2, head_dim=4),
    gated=gated_layers.Config(num_heads=2, head_dim=4),
    answer_weight=1.0,
)
ENGINE = Settings(batch_size=4, num_probes=0)


def train(out, **options):
    settings = {"trunk": TRUNK, "objective": OBJECTIVE, "engine": ENGINE, "steps": 3, **options}
    return flamingo(open_source(WORLD), out, **settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    train(out)
    return out


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A language model in a folder, with a vocabulary of 300 tokens of which it knows no mark."""
    found = Vocabulary(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = ["a red star on grass", "Question: What colour is it? Short answer: blue", "Output: a cup"] * 4
    found.train_from_iterator(words, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    torch.manual_seed(1)
    trunk = transformers.Config(
        vocab_size=found.get_vocab_size(), context_length=200, embed_dim=16, depth=2, num_heads=2
    )
    folder = tmp_path_factory.mktemp("language") / "language"
    card = Card.now(title="A language model", data="none", command="none", seconds=0, settings={}, metrics={})
    save_model(language.Config(trunk=trunk).build(), folder, card, found.to_str())
    return folder


def test_what_is_learned_writes_and_follows_examples(run):
    writer, shown = open_writer(str(run)), open_source("world:test?size=32&length=2")
    assert writer.caption(shown).texts.keys() == {shown.key(0), shown.key(1)}
    questions = {shown.key(place): ["What is it?"] for place in range(2)}
    assert len(writer.answer(shown, questions).texts) == 2
    after = writer.after(open_source("world:train?size=32&length=2"), 2)
    assert len(after.answer(shown, questions).texts) == 2


def test_a_trained_language_model_stays_as_it_is(run, spoken, tmp_path):
    locked = OBJECTIVE.model_copy(update={"locked": True})
    out = tmp_path / "out"
    train(out, language=str(spoken), objective=locked, trunk=vit.Config(), start_from=str(run / "model.safetensors"))
    kept, before = load_picture_model(str(out)), load_picture_model(str(run))
    for name, tensor in before.encoder.trunk.state_dict().items():
        assert torch.equal(tensor, kept.encoder.trunk.state_dict()[name]), name
    known, vocabulary = load_language_model(str(spoken))
    size = Vocabulary.from_str(vocabulary).get_vocab_size()
    assert isinstance(kept, Flamingo)
    for name, tensor in known.state_dict().items():
        now = kept.language.state_dict()[name]
        assert torch.equal(tensor, now[: len(tensor)] if len(now) == size + 2 else now), name
    assert (kept.language.trunk.token_embedding.weight[size:] != 0).all()
    assert (out / "tokenizer.json").read_text() == (spoken / "tokenizer.json").read_text()
    assert f"--language {spoken}" in (out / "card.md").read_text()
    shown = open_source("world:test?size=32&length=2")
    assert len(open_writer(str(out)).caption(shown).texts) == 2


def test_what_cannot_be_is_told_before_anything_is_made(tmp_path, run):
    with pytest.raises(InputError, match="a trained trunk that stays as it is"):
        train(tmp_path / "a", objective=OBJECTIVE.model_copy(update={"locked": True}))
    with pytest.raises(InputError, match="a multiple of 2 as --engine.batch-size"):
        train(tmp_path / "b", engine=ENGINE.model_copy(update={"batch_size": 5}))
    with pytest.raises(InputError, match="LanguageModel"):
        train(tmp_path / "c", language=str(run))
    assert not any(tmp_path.iterdir())
