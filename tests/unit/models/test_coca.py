"""CoCa: embeds as a dual encoder does, writes captions with its vocabulary, is kept and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from vocabularies import END, START, clip_tokenizer

import chiasm
from chiasm.core.errors import InputError
from chiasm.models import coca
from chiasm.models._store import save_model
from chiasm.ops.writing import beams, greedy
from chiasm.serve.encoder import open_encoder
from chiasm.weights.card import Card

TEXTS = ["a red circle", "", "a cat! and a dog", "many small dogs of red and green " * 3]
PICTURE = {"family": "vit", "image_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
POOL = {"by": {"kind": "queries", "num_queries": 4, "num_heads": 2, "out_dim": 8}}
SIZES = {"vocab_size": len(clip_tokenizer().get_vocab()), "context_length": 16, "embed_dim": 16}
SETTINGS = {
    "image": {"trunk": PICTURE, "pool": POOL, "projection": 12},
    "text": {
        "trunk": {"family": "text_with_class", **SIZES, "depth": 1, "num_heads": 2, "mask_is_late": True},
        "pool": {"kind": "class_token"},
        "projection": 12,
    },
    "decoder": {"depth": 2, "num_heads": 2},
}


@pytest.fixture
def vocabulary() -> str:
    return clip_tokenizer().to_str()


@pytest.fixture
def model() -> coca.CoCa:
    torch.manual_seed(0)
    made = coca.Config.parse(SETTINGS, "a CoCa").build().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def pictures() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.mark.usefixtures("in_float32")
def test_it_embeds_texts_as_they_are_and_is_the_same_after_being_kept(model, vocabulary, tmp_path):
    save_model(model, tmp_path / "kept", Card.now("t", "d", "c", 1.0, {}, {}), vocabulary)
    side = open_encoder(str(tmp_path / "kept")).text
    assert side is not None
    tokenizer = model.text_encoder.tokenizer(vocabulary)
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(model.text_encoder(tokenizer(TEXTS)))
    # Texts of like lengths are encoded together, without their padding.
    torch.testing.assert_close(torch.from_numpy(side.embed(TEXTS)), wanted, atol=1e-5, rtol=1e-5)
    loaded = chiasm.load(str(tmp_path / "kept"))
    assert isinstance(loaded, coca.CoCa)
    with torch.no_grad():
        found, wanted = (each.understand(pictures(), tokenizer(TEXTS[:3])) for each in (loaded, model))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def written(model: coca.CoCa, vocabulary: str, beginning: str = "") -> tuple[tuple[int, ...], ...]:
    writing = model.writing
    draft = writing.caption(writing.see(pictures()), writing.tokenizer(vocabulary), beginning)
    return greedy(draft.step, draft.beginnings, draft.stops).tokens


def test_captions_begin_and_end_with_the_marks_of_the_vocabulary(model, vocabulary):
    writing, numbers = model.writing, clip_tokenizer().get_vocab()
    tokenizer = writing.tokenizer(vocabulary)
    plain = writing.caption(writing.see(pictures()), tokenizer)
    assert plain.beginnings.tolist() == [[numbers[START]]] * 3
    assert plain.stops.end == (numbers[END],)
    assert plain.stops.banned == (0,)
    assert (plain.stops.min_tokens, plain.stops.max_tokens) == (4, 16)
    begun = writing.caption(writing.see(pictures()), tokenizer, "the red cat")
    assert begun.beginnings[0, 1:].tolist() == list(tokenizer.numbers("the red cat"))
    assert (begun.stops.min_tokens, begun.stops.max_tokens) == (1, 13)
    assert written(model, vocabulary) != written(model, vocabulary, "the red cat")
    with pytest.raises(InputError, match="at most 15 tokens, but it has 16"):
        writing.caption(writing.see(pictures()), tokenizer, "cat " * 16)
    with pytest.raises(InputError, match="captions alone"):
        writing.answer(writing.see(pictures()), tokenizer, ["what"] * 3)
    assert (writing.captions, writing.answers, writing.gives_vectors) == (True, False, True)


def test_a_batch_writes_what_each_picture_alone_would(model, vocabulary):
    writing = model.double().writing
    tokenizer, seen = writing.tokenizer(vocabulary), writing.see(pictures())
    draft = writing.caption(seen, tokenizer, "a cat")
    together = beams(draft.step, draft.beginnings, draft.stops, draft.num_beams)
    for row in range(3):
        one = writing.caption(writing.some(seen, torch.tensor([row])), tokenizer, "a cat")
        assert beams(one.step, one.beginnings, one.stops, one.num_beams).tokens[0] == together.tokens[row]
    assert len(set(together.scores)) == 3


@pytest.mark.parametrize(
    ("part", "said"), [({"pool": {"by": {"kind": "class_token"}}}, "queries"), ({"pool": {}}, "queries")]
)
def test_a_pool_without_tokens_is_refused(part, said):
    settings = {**SETTINGS, "image": {**SETTINGS["image"], **part}}
    with pytest.raises(InputError, match=said):
        coca.Config.parse(settings, "a CoCa").build()


def test_a_text_side_without_a_class_token_is_refused():
    text = {"trunk": {"family": "text", **SIZES, "depth": 1, "num_heads": 2}, "projection": 12}
    with pytest.raises(InputError, match="text_with_class"):
        coca.Config.parse({**SETTINGS, "text": text}, "a CoCa").build()


def test_what_was_seen_also_tells_the_vectors(model):
    with torch.no_grad():
        found = model.writing.vectors(model.writing.see(pictures()))
        torch.testing.assert_close(found, model.encoder(pictures()))


def test_its_tasks_find_it(tmp_path: Path, model, vocabulary):
    save_model(model, tmp_path, Card.now("t", "d", "c", 1.0, {}, {}), vocabulary)
    assert open_encoder(str(tmp_path)).embed_dim == 12
    assert {"classify", "search", "embed", "caption"} <= set(model.tasks)
