"""A served writer: what the model would write, the same in any company, pictures seen once."""

from __future__ import annotations

import math

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.manner import Manner
from chiasm.core.marks import END, MARKS
from chiasm.core.predictors import Answerer, Captioner
from chiasm.data.open import open_source
from chiasm.data.region import Region
from chiasm.data.vocabulary import learn_vocabulary
from chiasm.heads import writer as writers
from chiasm.models import encoder, text_encoder, vision_language
from chiasm.serve.encoder import PictureEncoder
from chiasm.serve.writer import PictureWriter
from chiasm.trunks import text, vit

CPU = torch.device("cpu")
WORLD = "world:test?size=32&length=5"


@pytest.fixture(scope="module")
def source() -> Source:
    return open_source(WORLD)


@pytest.fixture(scope="module")
def vocabulary(source) -> str:
    examples = [source.read(index) for index in range(len(source))]
    asked = [text for one in examples for pair in one.questions for text in (pair.question, pair.answer)]
    return learn_vocabulary([*(text for one in examples for text in one.captions), *asked], 400)


@pytest.fixture(scope="module")
def model() -> vision_language.VisionLanguage:
    """Weights so large that texts differ from picture to picture and from question to question."""
    torch.manual_seed(4)
    made = vision_language.Config(
        image=encoder.Config(
            trunk=vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2), projection=12
        ),
        text=text_encoder.Config.model_validate(
            {
                "trunk": text.Config(vocab_size=400, context_length=16, embed_dim=16, depth=1, num_heads=2),
                "pool": {"kind": "end_token", "end_token": MARKS.index(END)},
                "projection": 12,
            }
        ),
        writer=writers.Config(vocab_size=400, context_length=24, embed_dim=16, depth=2, num_heads=2),
    ).build()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.7)
    return made.eval()


def served(model: vision_language.VisionLanguage, vocabulary: str) -> PictureWriter:
    return PictureWriter(PictureEncoder(model, "m", lambda: "print", CPU, lambda: vocabulary))


def test_it_keeps_the_protocols(model, vocabulary):
    writer = served(model, vocabulary)
    assert isinstance(writer, Captioner)
    assert isinstance(writer, Answerer)
    assert (writer.name, writer.fingerprint) == ("m", "print")


@pytest.mark.parametrize("manner", [Manner(), Manner(num_beams=3), Manner(top_p=0.9, seed=3)])
def test_captions_are_the_same_in_any_company(model, vocabulary, source, manner):
    together = served(model, vocabulary).caption(source, manner)
    assert list(together.texts) == [source.key(index) for index in range(5)]
    assert len(set(together.texts.values())) > 1
    for key, words in together.texts.items():
        alone = served(model, vocabulary).caption(open_source(WORLD), manner)
        assert alone.texts[key] == words
        assert 0 < together.certainty[key] <= 1


@pytest.mark.usefixtures("in_float32")
def test_captions_are_those_of_the_model_asked_without_memory(model, vocabulary, source):
    writer = served(model, vocabulary)
    found = writer.caption(source, Manner(max_tokens=6), beginning="the red")
    tokenizer = model.writing.tokenizer(vocabulary)
    never = [number for number, mark in enumerate(MARKS) if mark != END]
    batch = next(iter(writer.encoder.batches(source, _ledger())))
    for row, key in enumerate(batch.keys):
        features, total = model.writing.see(batch.images[row : row + 1]), 0.0
        tokens = [MARKS.index("[START]"), *tokenizer.numbers("the red")]
        begun, ended = len(tokens), False
        while len(tokens) - begun < 6 and not ended:
            with torch.no_grad():
                shares = model.writer(features, torch.tensor([tokens]))[0, -1].log_softmax(dim=0)
            shares[never] = -torch.inf
            tokens.append(int(shares.argmax()))
            total += shares.max().item()
            ended = tokens[-1] == MARKS.index(END)
        words = tokenizer.words(tokens[begun:])
        assert found.texts[key] == f"the red {words}".strip()
        assert found.certainty[key] == pytest.approx(math.exp(total / (len(tokens) - begun)), rel=1e-4)


def test_answers_to_questions_of_all_lengths_and_pictures(model, vocabulary, source):
    questions = {
        source.key(0): ("How many objects are there?", "What colour is the star?"),
        source.key(3): ("Is there a red circle?",),
    }
    writer = served(model, vocabulary)
    together = writer.answer(source, questions)
    assert set(together.texts) == {(key, question) for key, several in questions.items() for question in several}
    for key, several in questions.items():
        for question in several:
            alone = served(model, vocabulary).answer(source, {key: (question,)})
            assert alone.texts[key, question] == together.texts[key, question]


@pytest.mark.usefixtures("in_float32")
def test_of_choices_the_most_probable_one_is_taken(model, vocabulary, source):
    questions = {source.key(index): ("What colour is the star?",) for index in range(5)}
    choices = ("red", "dark blue", "yes", "3")
    found = served(model, vocabulary).answer(source, questions, choices)
    tokenizer = model.writing.tokenizer(vocabulary)
    writer = served(model, vocabulary)
    batch = next(iter(writer.encoder.batches(source, _ledger())))
    for row, key in enumerate(batch.keys):
        features, sums = model.writing.see(batch.images[row : row + 1]), []
        for choice in choices:
            begun = [1, *tokenizer.numbers("What colour is the star?"), MARKS.index("[ANSWER]")]
            tokens = torch.tensor([[*begun, *tokenizer.numbers(choice), MARKS.index(END)]])
            with torch.no_grad():
                shares = model.writer(features, tokens[:, :-1])[0].log_softmax(dim=1)
            sums.append(shares.gather(1, tokens[0, 1:, None])[len(begun) - 1 :].sum())
        wanted = torch.stack(sums).softmax(dim=0).tolist()
        pair = key, "What colour is the star?"
        assert list(found.ranked[pair].values()) == pytest.approx(wanted, rel=1e-3, abs=1e-6)
        assert found.texts[pair] == choices[max(range(4), key=wanted.__getitem__)]
        assert found.certainty[pair] == pytest.approx(max(wanted), rel=1e-3)


def test_what_leaves_no_room_is_refused(model, vocabulary, source):
    writer, key = served(model, vocabulary), source.key(0)
    long = "What colour is the circle? " * 40
    with pytest.raises(InputError, match="a question or a beginning of at most [0-9]+ tokens"):
        writer.answer(source, {key: [long]})
    with pytest.raises(InputError, match="a question or a beginning of at most"):
        writer.caption(source, beginning=long)
    with pytest.raises(InputError, match="choices of at most [0-9]+ tokens after this question, but 'What"):
        writer.answer(source, {key: ["What colour?"]}, ("yes", long))


@pytest.mark.usefixtures("in_float32")
def test_a_picture_is_seen_once_for_all_that_is_asked(model, vocabulary, source, monkeypatch):
    seen = []
    see = type(model.encoder.trunk).forward
    monkeypatch.setattr(
        type(model.encoder.trunk), "forward", lambda self, images, **more: seen.append(len(images)) or see(self, images)
    )
    writer = served(model, vocabulary)
    vectors = writer.encoder.embed(source).vectors
    writer.caption(source)
    writer.answer(source, {source.key(index): ("How many?",) for index in range(5)})
    assert sum(seen) == 5
    plain = model.encoder(next(iter(writer.encoder.batches(source, _ledger()))).images)
    torch.testing.assert_close(torch.from_numpy(vectors), torch.nn.functional.normalize(plain.detach(), dim=1))


def test_a_model_that_does_not_write_is_refused(source, vocabulary):
    plain = encoder.Config(trunk=vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)).build()
    with pytest.raises(InputError, match="expected a model that writes about pictures, but m does not"):
        PictureWriter(PictureEncoder(plain, "m", lambda: "print", CPU))


def test_a_region_is_that_part_of_every_picture(source):
    part = Region(source, (4, 8, 20.5, 99))
    whole = source.read(2).picture
    assert (part.read(2).picture == whole[8:32, 4:21]).all()
    assert part.read(2).captions == ()
    assert part.digest(2) != source.digest(2)
    with pytest.raises(InputError, match="a box: left, top, right, bottom"):
        Region(source, (4, 8, 4, 9))
    with pytest.raises(InputError, match="a box within .*32 x 32 pixels, but 40 0 50 9 came"):
        Region(source, (40, 0, 50, 9)).read(0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_beams": 2, "top_p": 0.5}, "both came"),
        ({"temperature": 0.5}, "temperature came alone"),
        ({"min_tokens": 5, "max_tokens": 3}, "5 and 3 came"),
    ],
)
def test_manners_that_say_two_things_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Manner.parse(settings, "the manner")


def _ledger():
    from chiasm.data.skipped import Skipped

    return Skipped()
