"""BLIP's three models: pictures in a batch as alone, cached writing as uncached, refusals, artefacts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from vocabularies import bert_files

from chiasm.core.errors import InputError
from chiasm.models import blip_answerer, blip_captioner, blip_matcher, dual_encoder, encoder
from chiasm.models._store import load_model, save_model
from chiasm.models.encoder import PictureModel
from chiasm.ops.writing import Stops, beams, greedy
from chiasm.trunks import vit
from chiasm.weights import artefact
from chiasm.weights.card import Card
from chiasm.weights.vocabulary import vocabulary_in

IMAGE = encoder.Config(trunk=vit.Config(image_size=16, patch_size=8, embed_dim=12, depth=1, num_heads=2))
TEXT: dict[str, Any] = {"vocab_size": 130, "context_length": 24, "embed_dim": 8, "depth": 2, "num_heads": 2}
NUMBERS: dict[str, Any] = {"start_token": 125, "end_token": 3}


def made(config: Any) -> Any:
    torch.manual_seed(0)
    model = config.build().double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Weak norms would make all texts alike.
            parameter.normal_(std=4.0 if name.endswith("norm.weight") else 0.5)
    return model


def captioner(**changes: Any) -> blip_captioner.BlipCaptioner:
    return made(blip_captioner.Config.model_validate({"image": IMAGE, "writer": TEXT, **NUMBERS, **changes}))


def answerer(**changes: Any) -> blip_answerer.BlipAnswerer:
    config = {"image": IMAGE, "writer": TEXT, "reader": {**TEXT, "embed_dim": 16}, **NUMBERS, **changes}
    return made(blip_answerer.Config.model_validate(config))


def matcher_config(**changes: Any) -> blip_matcher.Config:
    side = {"projection": 5, "projection_bias": True}
    text = {"trunk": {"family": "med", **TEXT, "shown_dim": 12}, "pool": {"kind": "first_place"}, **side}
    return blip_matcher.Config.model_validate({"image": {**IMAGE.model_dump(), **side}, "text": text, **changes})


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("words")
    bert_files(folder)
    return vocabulary_in(folder, "a test")


def pictures(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)


QUESTIONS = ["is it a dog?", "two", "what is the big red square?"]


@pytest.mark.parametrize("how", [greedy, beams])
def test_a_batch_writes_what_each_picture_alone_would(vocabulary, how):
    with torch.no_grad():
        for model in (captioner(), answerer()):
            writing = model.writing
            tokenizer = writing.tokenizer(vocabulary)
            seen = writing.see(pictures())

            def draft(rows: list[int], writing=writing, tokenizer=tokenizer, seen=seen) -> Any:
                some = writing.some(seen, torch.tensor(rows))
                if writing.answers:
                    return writing.answer(some, tokenizer, [QUESTIONS[row] for row in rows])
                return writing.caption(some, tokenizer, "two")

            every = draft([0, 1, 2, 1])
            together = how(every.step, every.beginnings, every.stops)
            assert together.tokens[1] == together.tokens[3]
            assert len(set(together.tokens)) == 3
            for row in range(3):
                one = draft([row])
                alone = how(one.step, one.beginnings, one.stops)
                assert alone.tokens[0] == together.tokens[row]
                assert alone.log_probs[0] == pytest.approx(together.log_probs[row])


def test_cached_writing_gives_the_logits_of_the_whole_text(vocabulary):
    texts = torch.tensor([[125, 30, 40, 50], [125, 41, 31, 52], [125, 3, 60, 61]])
    with torch.no_grad():
        model = captioner()
        seen = model.writing.see(pictures())
        step = model.writing.caption(seen, model.writing.tokenizer(vocabulary)).step
        whole = model(pictures(), texts)
        for place in range(4):
            torch.testing.assert_close(step(texts[:, place : place + 1], None), whole[:, place])
        asking = answerer()
        writing = asking.writing
        tokenizer = writing.tokenizer(vocabulary)
        step = writing.answer(writing.see(pictures()), tokenizer, QUESTIONS).step
        asked = tokenizer(QUESTIONS)
        whole = asking(pictures(), asked, texts)
        for place in range(4):
            torch.testing.assert_close(step(texts[:, place : place + 1], None), whole[:, place])
        assert not torch.allclose(asking(pictures(), asked.flip(0), texts)[0], whole[0])
        assert not torch.allclose(asking(pictures().flip(0), asked, texts)[0], whole[0])


def test_how_texts_begin_and_end(vocabulary):
    model = captioner(prompt="a picture ", max_tokens=5, min_tokens=2, num_beams=4)
    writing = model.writing
    tokenizer = writing.tokenizer(vocabulary)
    draft = writing.caption(writing.see(pictures(2)), tokenizer, "of two")
    assert draft.beginnings.tolist() == [[125, *tokenizer.numbers("a picture of two")]] * 2
    assert (draft.stops, draft.num_beams) == (Stops((3,), 5, 2), 4)
    with pytest.raises(InputError, match="room for 5 tokens of a caption, 19 tokens long, but one of 23 came"):
        writing.caption(writing.see(pictures(2)), tokenizer, "two " * 20)
    model = answerer(max_tokens=7)
    draft = model.writing.answer(model.writing.see(pictures(2)), tokenizer, QUESTIONS[:2])
    assert draft.beginnings.tolist() == [[125], [125]]
    assert draft.stops == Stops((3,), 7)


def test_what_a_model_was_not_made_for_is_refused(vocabulary):
    writing = captioner().writing
    assert (writing.captions, writing.answers) == (True, False)
    with pytest.raises(InputError, match="this one writes captions"):
        writing.answer(writing.see(pictures()), writing.tokenizer(vocabulary), QUESTIONS)
    writing = answerer().writing
    assert (writing.captions, writing.answers) == (False, True)
    with pytest.raises(InputError, match="this one answers questions"):
        writing.caption(writing.see(pictures()), writing.tokenizer(vocabulary))


def test_pairs_are_matched_as_alone_and_read_both(vocabulary):
    model = made(matcher_config())
    matching = model.matching
    tokenizer = matching.tokenizer(vocabulary)
    with torch.no_grad():
        seen = matching.see(pictures())
        found = matching.log_odds(seen, tokenizer, QUESTIONS)
        for row in range(3):
            one = matching.some(seen, torch.tensor([row]))
            torch.testing.assert_close(matching.log_odds(one, tokenizer, [QUESTIONS[row]]), found[row : row + 1])
        assert not torch.isclose(matching.log_odds(seen, tokenizer, QUESTIONS[::-1])[0], found[0])
        turned = matching.some(seen, torch.tensor([2, 1, 0]))
        assert not torch.isclose(matching.log_odds(turned, tokenizer, QUESTIONS)[0], found[0])
        marked = made(matcher_config(pair_token=126)).matching.log_odds(seen, tokenizer, QUESTIONS)
        assert not torch.allclose(marked, found)
    assert model.texts is not None


def test_a_text_side_that_cannot_look_at_these_pictures_is_told():
    settings = matcher_config().model_dump()
    settings["text"]["trunk"]["shown_dim"] = 13
    with pytest.raises(InputError, match="family med that looks at tokens 12 wide"):
        blip_matcher.Config.model_validate(settings).build()
    settings["text"]["trunk"] = {"family": "text", "vocab_size": 130, "embed_dim": 8, "depth": 1, "num_heads": 2}
    with pytest.raises(InputError, match="family med that looks at tokens 12 wide"):
        blip_matcher.Config.model_validate(settings).build()
    del settings["pair_token"]
    assert dual_encoder.Config.model_validate(settings).build().matching is None


def test_artefacts_of_all_three(tmp_path, vocabulary):
    card = Card.now("A test", "nothing", "chiasm train x", 90.0, {"seed": "0"}, {})
    for place, model in enumerate((captioner(), answerer(), made(matcher_config()))):
        save_model(model.float(), tmp_path / str(place), card, vocabulary)
        stored = artefact.read(tmp_path / str(place))
        again = load_model(stored, PictureModel)
        assert stored.tokenizer() == vocabulary
        assert type(again) is type(model)
        assert again.config == model.config
        for name, tensor in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor)
        images = pictures()
        with torch.no_grad():
            torch.testing.assert_close(again.encoder(images), model.encoder(images))
            side = again.writing or again.matching
            assert side is not None
            torch.testing.assert_close(side.vectors(side.see(images)), model.encoder(images))
