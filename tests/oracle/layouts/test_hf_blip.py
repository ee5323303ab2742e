"""BLIP of transformers against `chiasm.load`: captions, answers, whether a text fits; what it writes; its tokenizer.

The default weights of transformers are blind: two pictures give captions whose logits differ by 3e-8. All are redrawn.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from references import check, difference, pixels, redrawn, unmoved
from safetensors.torch import load_file, save_file
from torch.nn import functional
from vocabularies import NASTY, bert_files

import chiasm
from chiasm.core.errors import InputError
from chiasm.core.files import read_json, write_json
from chiasm.models import registry
from chiasm.models.blip_answerer import BlipAnswerer
from chiasm.models.blip_captioner import BlipCaptioner
from chiasm.models.blip_matcher import BlipMatcher
from chiasm.models.encoder import Encoder
from chiasm.ops.writing import Stops, beams, greedy, log_likelihoods
from chiasm.weights.find import find

transformers = pytest.importorskip("transformers")
LAYOUT, FAMILY = "hf_blip", "BLIP"
CAPTIONER, ANSWERER = "BlipForConditionalGeneration", "BlipForQuestionAnswering"
MATCHER = "BlipForImageTextRetrieval"
START, END = 125, 18
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
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "vocab_size": 127,
    "max_position_embeddings": 40,
    "bos_token_id": START,
    "sep_token_id": END,
}
TEXTS = torch.tensor([[2, 5, 7, 9, 11, 3], [2, 8, 3, 0, 0, 0]])
REAL = TEXTS != 0
DEVIATION = {torch.float64: 0.2, torch.float32: 0.1}
NAMES = {torch.float64: "float64", torch.float32: "float32"}


def blip(tmp_path: Path, kind: str, deviation: float = 0.2, seed: int = 0, **changes: Any) -> Any:
    """A reference, and where it was saved."""
    # transformers gives the decoder of answers the width of pictures, which only serves where all widths are one.
    vision = {**VISION, "hidden_size": 24} if kind == ANSWERER else VISION
    config = transformers.BlipConfig(vision_config=vision, text_config={**TEXT, **changes}, image_text_hidden_size=20)
    reference = redrawn(getattr(transformers, kind)(config), deviation=deviation, seed=seed)
    reference.save_pretrained(tmp_path)
    return reference


def lively(tmp_path: Path, kind: str, seed: int = 0) -> Any:
    """A reference whose texts differ from picture to picture: its norms weaken nothing."""
    reference = blip(tmp_path, kind, seed=seed)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if name.lower().endswith(("norm.weight", "norm1.weight", "norm2.weight")):
                parameter.mul_(10)
    reference.save_pretrained(tmp_path)
    return reference


def inputs(model: Any, images: torch.Tensor, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return model.encoder.trunk.normalize(images).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [(32, 32), (48, 24)])
def test_captions_token_by_token(tmp_path, dtype, size):
    reference = blip(tmp_path, CAPTIONER, DEVIATION[dtype]).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    assert isinstance(model, BlipCaptioner)
    images = pixels(*size)
    with torch.no_grad():
        wanted = reference(
            pixel_values=inputs(model, images, dtype), input_ids=TEXTS, interpolate_pos_encoding=size != (32, 32)
        )
        found = model(images, TEXTS)
        tokens = model.encoder.trunk(inputs(model, images, dtype))
    part = "captions" if size == (32, 32) else "captions of another size"
    check(LAYOUT, FAMILY, f"transformers.{CAPTIONER}", part, **{NAMES[dtype]: difference(found, wanted.logits)})
    whole = torch.cat([tokens.prefix, tokens.patches], dim=1)
    name = {NAMES[dtype]: difference(whole, wanted.image_embeds)}
    check(LAYOUT, FAMILY, f"transformers.{CAPTIONER}", "tokens of pictures", **name)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_answers_token_by_token(tmp_path, dtype):
    reference = blip(tmp_path, ANSWERER, DEVIATION[dtype]).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    assert isinstance(model, BlipAnswerer)
    images, answers = pixels(32, 32), torch.tensor([[START, 7, 9], [START, 4, 11]])
    with torch.no_grad():
        found = model(images, TEXTS, answers)
        # One by one and without padding: transformers lets answers look at that of questions, whatever it is told.
        for row, length in enumerate(REAL.sum(dim=1).tolist()):
            one = slice(row, row + 1)
            seen = reference.vision_model(inputs(model, images[one], dtype)).last_hidden_state
            read = reference.text_encoder(input_ids=TEXTS[one, :length], encoder_hidden_states=seen).last_hidden_state
            wanted = reference.text_decoder(input_ids=answers[one], encoder_hidden_states=read).logits
            name = {NAMES[dtype]: difference(found[one], wanted)}
            check(LAYOUT, FAMILY, f"transformers.{ANSWERER}", "answers", **name)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_whether_texts_fit(tmp_path, dtype):
    reference = blip(tmp_path, MATCHER, DEVIATION[dtype]).to(dtype)
    model = chiasm.load(str(tmp_path)).to(dtype)
    assert isinstance(model, BlipMatcher)
    images = pixels(32, 32)
    given = {"pixel_values": inputs(model, images, dtype), "input_ids": TEXTS, "attention_mask": REAL.long()}
    with torch.no_grad():
        pairs = reference(**given).itm_score
        cosines = reference(**given, use_itm_head=False).itm_score
        found = model.match(model.encoder.trunk(inputs(model, images, dtype)), TEXTS)
        name = f"transformers.{MATCHER}"
        check(LAYOUT, FAMILY, name, "pairs", **{NAMES[dtype]: difference(found, pairs)})
        vectors = functional.normalize(model.encoder(images), dim=1), functional.normalize(model.text_encoder(TEXTS))
        check(LAYOUT, FAMILY, name, "cosines", **{NAMES[dtype]: difference(vectors[0] @ vectors[1].T, cosines)})
        logits = model(images, TEXTS)
    # No temperature is in the file: the one that the authors begin with.
    assert difference(logits, cosines / 0.07) < 1e-5
    assert model.text_encoder.lengths(TEXTS).tolist() == [6, 3]


def test_every_weight_matters(tmp_path):
    images = pixels(32, 32)
    for kind in (CAPTIONER, ANSWERER, MATCHER):
        lively(tmp_path / kind, kind)
        model: Any = chiasm.load(str(tmp_path / kind)).double()
        answers: dict[str, Any] = {
            CAPTIONER: lambda model=model: model(images, TEXTS),
            ANSWERER: lambda model=model: model(images, TEXTS, TEXTS[:, :4]),
            MATCHER: lambda model=model: torch.cat(
                [model.match(model.encoder.trunk(inputs(model, images)), TEXTS), model(images, TEXTS)], dim=1
            ),
        }
        assert not unmoved(model, answers[kind]), kind


def ended(rows: torch.Tensor, start: int) -> list[list[int]]:
    """Tokens that transformers writes after the beginning, up to the end token."""
    return [list(itertools.takewhile(lambda token: token != END, row)) for row in rows[:, start:].tolist()]


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("num_beams", [1, 3])
def test_captions_are_those_that_transformers_writes(tmp_path, seed, num_beams):
    bert_files(tmp_path)
    reference = lively(tmp_path, CAPTIONER, seed)
    writing = chiasm.load(str(tmp_path)).double().writing
    assert writing is not None
    tokenizer = writing.tokenizer(find(str(tmp_path)).tokenizer())
    images = pixels(32, 32, batch=6)
    theirs = transformers.BertTokenizer.from_pretrained(tmp_path)(["a picture of two "] * 6, return_tensors="pt")
    model = chiasm.load(str(tmp_path))
    rows = reference.generate(
        pixel_values=inputs(model, images),
        input_ids=theirs.input_ids,
        num_beams=num_beams,
        max_new_tokens=16,
        min_new_tokens=1,
        do_sample=False,
    )
    with torch.no_grad():
        draft = writing.caption(writing.see(images.clone()), tokenizer, "two")
        assert draft.num_beams == 3
        assert draft.beginnings.tolist() == [[START, *tokenizer.numbers("a picture of two")]] * 6
        assert draft.stops == Stops((END,), 16, 1)
        how = beams if num_beams > 1 else greedy
        found = how(draft.step, draft.beginnings, draft.stops)
    wanted = ended(rows, draft.beginnings.shape[1])
    assert [list(text) for text in found.tokens] == wanted
    # Else equality would say little.
    assert len({tuple(text) for text in wanted}) > 3
    assert seed == 0 or any(len(text) < 15 for text in wanted)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_answers_are_those_that_transformers_writes(tmp_path, num_beams):
    bert_files(tmp_path)
    reference = lively(tmp_path, ANSWERER)
    model = chiasm.load(str(tmp_path)).double()
    writing = model.writing
    assert writing is not None
    tokenizer = writing.tokenizer(find(str(tmp_path)).tokenizer())
    questions = ["what is it?", "is it two?", "what is red?", "it is a dog?", "no blue cat?", "the big cat?"]
    images = pixels(32, 32, batch=6)
    theirs = transformers.BertTokenizer.from_pretrained(tmp_path)(questions, return_tensors="pt", padding=True)
    assert theirs.attention_mask.min() == 0
    found, wanted = [], []
    with torch.no_grad():
        seen = writing.see(images)
        draft = writing.answer(seen, tokenizer, questions)
        how = beams if num_beams > 1 else greedy
        found = how(draft.step, draft.beginnings, draft.stops)
        # One by one, since transformers lets answers look at the padding of questions.
        for row, length in enumerate(theirs.attention_mask.sum(dim=1).tolist()):
            rows = reference.generate(
                pixel_values=inputs(model, images[row : row + 1]),
                input_ids=theirs.input_ids[row : row + 1, :length],
                num_beams=num_beams,
                max_length=10,
                do_sample=False,
            )
            wanted += ended(rows, 1)
    assert [list(text) for text in found.tokens] == wanted
    assert len({tuple(text) for text in wanted}) > 3
    assert any(len(text) < 8 for text in wanted)


def test_answers_of_a_closed_list_are_ranked_by_their_likelihood(tmp_path):
    bert_files(tmp_path)
    reference = lively(tmp_path, ANSWERER)
    model = chiasm.load(str(tmp_path)).double()
    writing = model.writing
    assert writing is not None
    tokenizer = writing.tokenizer(find(str(tmp_path)).tokenizer())
    images, questions = pixels(32, 32), ["what is it?", "what is red?"]
    answers = ["a cat", "two", "no big red dog", "yes"]
    texts = [(*tokenizer.numbers(answer), END) for answer in answers] * 2
    with torch.no_grad():
        draft = writing.answer(writing.see(images), tokenizer, questions)
        rows = torch.arange(2).repeat_interleave(4)
        found = log_likelihoods(draft.step, draft.beginnings[rows], texts, rows).view(2, 4)
        asked = transformers.BertTokenizer.from_pretrained(tmp_path)(questions, return_tensors="pt").input_ids
        seen = reference.vision_model(inputs(model, images)).last_hidden_state
        read = reference.text_encoder(input_ids=asked, encoder_hidden_states=seen).last_hidden_state
        wanted = torch.stack(
            [
                -reference.text_decoder(
                    input_ids=torch.tensor([[START, *text]]),
                    encoder_hidden_states=read[row : row + 1],
                    labels=torch.tensor([[START, *text]]),
                    reduction="none",
                ).loss[0]
                for row, text in zip(rows.tolist(), texts, strict=True)
            ]
        ).view(2, 4)
    assert difference(found, wanted) < 1e-4
    assert difference(wanted[0], wanted[1]) > 0.1


def test_the_first_token_of_a_question_and_of_a_pair_is_a_setting(tmp_path):
    """[ENC], as the authors put it there, which transformers does not."""
    numbers = bert_files(tmp_path)
    images, texts = pixels(32, 32), ["is it a cat?", "two"]
    for kind, key in ((ANSWERER, "question_token"), (MATCHER, "pair_token")):
        reference = lively(tmp_path, kind)
        stored = find(str(tmp_path))
        assert key not in stored.config
        changed = registry.config(stored.model).parse({**stored.config, key: numbers["[ENC]"]}, "a test").build()
        changed.double().eval().load_state_dict(stored.tensors())
        given = transformers.BertTokenizer.from_pretrained(tmp_path)(texts, return_tensors="pt", padding=True)
        tokens = given.input_ids.clone()
        answers = []
        for model, first in ((chiasm.load(str(tmp_path)).double(), numbers["[CLS]"]), (changed, numbers["[ENC]"])):
            tokens[:, 0] = first
            answers.append(_first_answer(model, images, texts, stored.tokenizer(), kind))
            with torch.no_grad():
                if kind == MATCHER:
                    pixel_values = inputs(model, images)
                    mask = given.attention_mask
                    logits = reference(pixel_values=pixel_values, input_ids=tokens, attention_mask=mask).itm_score
                    assert difference(answers[-1], logits[:, 1] - logits[:, 0]) < 1e-9
                else:
                    start = torch.full((2, 1), START)
                    assert difference(answers[-1], model(images, tokens, start)[:, -1]) < 1e-9
        assert difference(*answers) > 1e-6


def _first_answer(model: Any, images: torch.Tensor, texts: list[str], vocabulary: str, kind: str) -> torch.Tensor:
    """Log-odds of pairs, or logits of the first token of answers."""
    with torch.no_grad():
        side = model.matching if kind == MATCHER else model.writing
        tokenizer, seen = side.tokenizer(vocabulary), side.see(images)
        if kind == MATCHER:
            return side.log_odds(seen, tokenizer, texts)
        draft = side.answer(seen, tokenizer, texts)
        return draft.step(draft.beginnings, None)


@pytest.mark.parametrize("form", ["vocab.txt", "tokenizer.json"])
def test_its_tokenizer(tmp_path, form):
    numbers = bert_files(tmp_path)
    blip(tmp_path, CAPTIONER)
    reference = transformers.BertTokenizer.from_pretrained(tmp_path)
    if form == "tokenizer.json":
        reference.save_pretrained(tmp_path)
        (tmp_path / "vocab.txt").unlink(missing_ok=True)
    writing = chiasm.load(str(tmp_path)).writing
    assert writing is not None
    tokenizer = writing.tokenizer(find(str(tmp_path)).tokenizer())
    texts = [*NASTY, "[DEC] written by hand"]
    wanted = reference(texts, padding="max_length", max_length=40, truncation=True, return_tensors="pt").input_ids
    assert tokenizer(texts).tolist() == wanted.tolist()
    assert tokenizer.number("[DEC]") == numbers["[DEC]"] == START
    found = tokenizer.numbers("a picture of two dogs")
    assert tokenizer.words(found) == reference.decode(found) == "a picture of two dogs"


def test_a_vocabulary_that_tells_capitals_apart(tmp_path):
    bert_files(tmp_path)
    blip(tmp_path, CAPTIONER)
    write_json(tmp_path / "tokenizer_config.json", {"do_lower_case": False})
    writing = chiasm.load(str(tmp_path)).writing
    assert writing is not None
    found = writing.tokenizer(find(str(tmp_path)).tokenizer())
    reference = transformers.BertTokenizer.from_pretrained(tmp_path, do_lower_case=False)
    assert found(["A cat"])[0, :5].tolist() == [*reference(["A cat"]).input_ids[0], 0]
    (tmp_path / "vocab.txt").write_text("[CLS]\na\n")
    with pytest.raises(InputError, match=r"has no token \[SEP\]"):
        find(str(tmp_path)).tokenizer()


def test_pictures_are_made_as_its_processor_does_it(tmp_path):
    blip(tmp_path, CAPTIONER)
    assert find(str(tmp_path)).config["image"]["fit"]["resize_px"] == 32
    transformers.BlipImageProcessorPil(size={"height": 48, "width": 48}).save_pretrained(tmp_path)
    image = find(str(tmp_path)).config["image"]
    wanted = {"kind": "both_sides", "resize_px": 48, "size_px": 48, "filter": "bicubic"}
    assert image["fit"] == wanted
    assert image["trunk"]["mean"][0] == pytest.approx(0.48145466)


def test_the_picture_side_alone(tmp_path):
    reference = redrawn(transformers.BlipVisionModel(transformers.BlipVisionConfig(**VISION)))
    reference.save_pretrained(tmp_path)
    model = chiasm.load(str(tmp_path)).double()
    assert isinstance(model, Encoder)
    images = pixels(32, 32)
    with torch.no_grad():
        wanted = reference(pixel_values=inputs(model, images)).last_hidden_state[:, 0]
        found = model(images)
    check(LAYOUT, FAMILY, "transformers.BlipVisionModel", "pictures", float64=difference(found, wanted))


def test_words_and_their_table_are_one_under_either_name(tmp_path):
    blip(tmp_path, CAPTIONER)
    file = tmp_path / "model.safetensors"
    weights, model = load_file(file), chiasm.load(str(tmp_path))
    words = weights["text_decoder.bert.embeddings.word_embeddings.weight"]
    bias = weights["text_decoder.cls.predictions.bias"]
    older = {
        **weights,
        "text_decoder.cls.predictions.decoder.weight": words.clone(),
        "text_decoder.cls.predictions.decoder.bias": bias.clone(),
        "text_decoder.bert.embeddings.position_ids": torch.arange(40)[None],
    }
    left_out = ("text_decoder.bert.embeddings.word_embeddings.weight", "text_decoder.cls.predictions.bias")
    for without in ((), left_out):
        save_file({name: value for name, value in older.items() if name not in without}, file, {"format": "pt"})
        again = chiasm.load(str(tmp_path))
        for name, value in model.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name


def test_what_it_cannot_do_is_told_in_one_line(tmp_path):
    transformers.BlipTextModel(transformers.BlipTextConfig(**TEXT)).save_pretrained(tmp_path / "text")
    with pytest.raises(InputError, match="only reads text"):
        chiasm.load(str(tmp_path / "text"))
    blip(tmp_path / "old", "BlipModel")
    with pytest.raises(InputError, match="is a BlipModel"):
        chiasm.load(str(tmp_path / "old"))
    blip(tmp_path, CAPTIONER)
    settings = read_json(tmp_path / "config.json", "settings")
    for changed in ({"hidden_act": "relu"}, {"hidden_act": "quick_gelu"}, {"tie_word_embeddings": False}):
        write_json(tmp_path / "config.json", {**settings, "text_config": {**settings["text_config"], **changed}})
        with pytest.raises(InputError, match="choose another checkpoint"):
            chiasm.load(str(tmp_path))


def test_missing_and_unexpected_tensors_are_listed(tmp_path):
    for kind in (CAPTIONER, ANSWERER, MATCHER):
        blip(tmp_path, kind)
        file = tmp_path / "model.safetensors"
        weights = load_file(file)
        for name in (name for name in weights if ".1." not in name):
            save_file({key: value for key, value in weights.items() if key != name}, file)
            with pytest.raises(InputError, match="missing|only reads text|unexpected|is a BlipModel"):
                chiasm.load(str(tmp_path))
        save_file({**weights, "odd": torch.zeros(1)}, file)
        with pytest.raises(InputError, match="1 unexpected"):
            chiasm.load(str(tmp_path))
