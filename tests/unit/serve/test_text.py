"""Served text: unit vectors in order, nothing encoded twice, the vocabulary asked for late."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from drawn import draw_pictures
from vocabularies import END, clip_tokenizer

import chiasm
from chiasm.core.errors import InputError
from chiasm.core.predictors import Encoder, TextEncoder
from chiasm.data.open import open_source
from chiasm.models import dual_encoder, encoder, text_encoder
from chiasm.models._store import save_model
from chiasm.models.text_encoder import OpenText
from chiasm.serve.encoder import PictureEncoder, open_encoder, untrained_encoder
from chiasm.serve.text import ServedText
from chiasm.trunks import text, vit
from chiasm.weights.card import Card

TEXTS = ["a red circle", "the big blue square", "a cat", "", "many small dogs of red and green"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vocabulary() -> str:
    return clip_tokenizer().to_str()


def settings(looks_back: bool = True, bias: float | None = None) -> dual_encoder.Config:
    numbers = clip_tokenizer().get_vocab()
    words = text.Config(
        vocab_size=len(numbers), context_length=16, embed_dim=16, depth=2, num_heads=2, looks_back=looks_back
    )
    return dual_encoder.Config(
        image=encoder.Config(
            trunk=vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2), projection=12
        ),
        text=text_encoder.Config.model_validate(
            {"trunk": words, "pool": {"kind": "end_token", "end_token": numbers[END]}, "projection": 12}
        ),
        logit_bias=bias,
    )


COLOURS, THINGS = ("red", "green", "blue", "big", "small"), ("cat", "dog", "circle", "x")
WORDS = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]


@pytest.fixture(params=[True, False])
def model(request) -> dual_encoder.DualEncoder:
    torch.manual_seed(0)
    return settings(request.param).build().eval()


def served(model: dual_encoder.DualEncoder, vocabulary: str) -> ServedText:
    return ServedText(model.texts, "m", lambda: vocabulary, CPU, lambda: "f")


def test_vectors_are_those_of_the_model_in_order(model, vocabulary):
    found = served(model, vocabulary).embed(TEXTS)
    tokens = model.text_encoder.tokenizer(vocabulary)(TEXTS)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model.text_encoder(tokens), dim=1).numpy()
    assert found.dtype == np.float32
    # In bfloat16 where the processor has it.
    assert np.abs(found - expected).max() < 2e-2
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_it_can_be_learned_through(model, vocabulary):
    side = served(model, vocabulary)
    assert isinstance(side, OpenText)
    found = side.parts
    own = dict(model.text_encoder.named_parameters())
    assert {name: tensor.data_ptr() for name, tensor in found.encoder.named_parameters()} == {
        name: tensor.data_ptr() for name, tensor in own.items()
    }
    assert torch.equal(found.tokenizer(TEXTS), model.text_encoder.tokenizer(vocabulary)(TEXTS))


def test_it_can_be_learned_through_in_float32_whatever_its_weights_are_held_in(model, vocabulary):
    model.to(torch.bfloat16)
    assert {tensor.dtype for tensor in served(model, vocabulary).parts.encoder.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in model.parameters()} == {torch.bfloat16}


def test_a_text_is_encoded_once_and_no_longer_than_needed(model, vocabulary):
    seen: list[tuple[int, ...]] = []
    model.text_encoder.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    side = served(model, vocabulary)
    first = side.embed([TEXTS[0], TEXTS[1], TEXTS[0]])
    assert np.array_equal(first[0], first[2])
    again = side.embed([TEXTS[1], TEXTS[0]])
    assert np.array_equal(again, first[[1, 0]])
    assert side.embed([]).shape == (0, 12)
    length = int((model.text_encoder.tokenizer(vocabulary)(TEXTS[:2])).argmax(dim=1).max()) + 1
    assert length < 16
    assert seen == [(2, length if model.text_encoder.trunk.looks_back else 16)]


def test_texts_that_begin_alike_get_the_vectors_that_each_gets_alone(model, vocabulary):
    texts = [f"a photo of {article} {name}" for article in ("a", "the") for name in WORDS]
    model = model.double()
    seen: list[tuple[int, ...]] = []
    model.text_encoder.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    side = served(model, vocabulary)
    side._autocast = False
    found = side.embed(texts)
    num_tokens = sum(rows * length for rows, length in seen)
    seen.clear()
    alone = served(model, vocabulary)
    alone._autocast = False
    expected = np.concatenate([alone.embed([text]) for text in texts])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found[:-1] - found[1:]).max() > 1e-3
    if model.text_encoder.trunk.looks_back:
        assert num_tokens < 0.7 * sum(rows * length for rows, length in seen)


def test_scale_and_bias_are_told():
    plain = ServedText(settings().build().texts, "m", lambda: "", CPU, lambda: "f")
    assert plain.logit_scale == pytest.approx(1 / 0.07)
    assert plain.logit_bias is None
    assert isinstance(plain, TextEncoder)
    assert ServedText(settings(bias=-10.0).build().texts, "m", lambda: "", CPU, lambda: "f").logit_bias == -10


def test_a_saved_model_answers_the_same(model, vocabulary, tmp_path):
    save_model(model, tmp_path / "m", Card.now("t", "d", "c", 1.0, {}, {}), vocabulary)
    again = open_encoder(str(tmp_path / "m"))
    assert isinstance(again, Encoder)
    assert again.text is not None
    assert np.array_equal(again.text.embed(TEXTS), served(model, vocabulary).embed(TEXTS))
    loaded = chiasm.load(str(tmp_path / "m"))
    images, tokens = torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.ones(3, 5, dtype=torch.int64)
    assert torch.equal(loaded(images, tokens), model(images, tokens))
    twin = untrained_encoder(str(tmp_path / "m"), 0)
    assert twin.text is not None
    assert not np.allclose(twin.text.embed(TEXTS), again.text.embed(TEXTS))


def test_without_a_tokenizer_pictures_are_still_embedded(model, tmp_path):
    save_model(model, tmp_path / "m", Card.now("t", "d", "c", 1.0, {}, {}))
    opened = open_encoder(str(tmp_path / "m"))
    assert len(opened.embed(open_source(str(draw_pictures(tmp_path / "pictures", 1)))).vectors) == 3
    assert opened.text is not None
    with pytest.raises(InputError, match="tokenizer"):
        opened.text.embed(["a cat"])
    bare = PictureEncoder(model, "m", lambda: "f", CPU)
    assert bare.text is not None
    with pytest.raises(InputError, match="tokenizer"):
        bare.text.embed(["a cat"])


def test_a_tokenizer_of_another_model_is_told(model, vocabulary):
    fewer = settings().model_copy(deep=True)
    trunk = fewer.text.trunk.model_copy(update={"vocab_size": 50})
    smaller = dual_encoder.DualEncoder(
        fewer.model_copy(update={"text": fewer.text.model_copy(update={"trunk": trunk})})
    )
    with pytest.raises(InputError, match="at most 50 tokens"):
        served(smaller, vocabulary).embed(["a cat"])


def test_logits_are_scaled_cosines(vocabulary):
    torch.manual_seed(0)
    model = settings(bias=-3.0).build().eval()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    tokens = model.text_encoder.tokenizer(vocabulary)(TEXTS)
    with torch.no_grad():
        pictures, texts = model.encoder(images), model.text_encoder(tokens)
        found = model(images, tokens)
    for row in range(2):
        for column in range(len(TEXTS)):
            cosine = torch.cosine_similarity(pictures[row], texts[column], dim=0)
            assert found[row, column] == pytest.approx(float(cosine) / 0.07 - 3, abs=1e-4)


def test_sides_of_different_widths_are_refused():
    config = settings()
    image = config.image.model_copy(update={"projection": 8})
    with pytest.raises(InputError, match="one width"):
        config.model_copy(update={"image": image}).build()
    assert config.logit_scale == pytest.approx(math.log(1 / 0.07))


def test_a_trunk_for_text_sees_no_pictures_and_the_other_way_round():
    with pytest.raises(InputError, match="a trunk for pictures"):
        encoder.Config.parse({"trunk": {"family": "text"}}, "an encoder")
    with pytest.raises(InputError, match="a trunk for text"):
        text_encoder.Config.parse({"trunk": {"family": "vit"}}, "an encoder")
