"""A served matcher: cosines as the vectors tell, probabilities as the model reads pairs, each pair as alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from vocabularies import bert_files

from chiasm.core.errors import InputError
from chiasm.core.predictors import Matcher
from chiasm.data.open import open_source
from chiasm.data.skipped import Skipped
from chiasm.data.vocabulary import learn_vocabulary
from chiasm.models import blip_matcher, dual_encoder, encoder, text_encoder
from chiasm.models.encoder import PictureModel
from chiasm.serve.encoder import PictureEncoder
from chiasm.serve.matcher import PictureMatcher
from chiasm.trunks import text, vit
from chiasm.weights.vocabulary import vocabulary_in

WORLD = "world:test?size=32&length=3"
IMAGE = encoder.Config(trunk=vit.Config(image_size=16, patch_size=8, embed_dim=12, depth=1, num_heads=2), projection=5)
TEXTS = ("a red star", "two blue cups and a ring on the left", "water")


def drawn(model: PictureModel) -> PictureModel:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.6)
    return model.eval()


@pytest.fixture(scope="module")
def source():
    return open_source(WORLD)


def dual(source, bias: float | None) -> PictureEncoder:
    torch.manual_seed(2)
    captions = [caption for index in range(len(source)) for caption in source.read(index).captions]
    vocabulary = learn_vocabulary([*captions, *TEXTS], 400)
    reading = text_encoder.Config(
        trunk=text.Config(vocab_size=400, context_length=20, embed_dim=8, depth=1, num_heads=2), projection=5
    )
    model = drawn(dual_encoder.Config(image=IMAGE, text=reading, logit_scale=3.0, logit_bias=bias).build())
    return PictureEncoder(model, "m", lambda: "print", torch.device("cpu"), lambda: vocabulary)


@pytest.fixture
def reading_both(in_float32, tmp_path) -> PictureEncoder:
    torch.manual_seed(3)
    bert_files(tmp_path)
    side = {"projection": 5, "projection_bias": True}
    med = {"vocab_size": 130, "context_length": 24, "embed_dim": 8, "depth": 2, "num_heads": 2, "shown_dim": 12}
    config = blip_matcher.Config.model_validate(
        {
            "image": {**IMAGE.model_dump(), **side},
            "text": {"trunk": {"family": "med", **med}, "pool": {"kind": "first_place"}, **side},
        }
    )
    vocabulary = vocabulary_in(tmp_path, "a test")
    return PictureEncoder(drawn(config.build()), "b", lambda: "print", torch.device("cpu"), lambda: vocabulary)


def test_cosines_and_no_probability_of_a_softmax(source):
    served = dual(source, None)
    matcher = PictureMatcher(served)
    assert isinstance(matcher, Matcher)
    keys = [source.key(index) for index in range(3)]
    found = matcher.match(source, {keys[0]: TEXTS[:2], keys[2]: TEXTS[1:], keys[1]: ()})
    assert list(found.cosines) == [(keys[0], TEXTS[0]), (keys[0], TEXTS[1]), (keys[2], TEXTS[1]), (keys[2], TEXTS[2])]
    assert not found.probabilities
    assert served.text is not None
    pictures, words = served.embed(source).vectors, served.text.embed(TEXTS)
    np.testing.assert_allclose(found.cosines[keys[2], TEXTS[1]], pictures[2] @ words[1], atol=1e-6)


def test_a_sigmoid_tells_a_probability(source):
    served = dual(source, -1.5)
    assert served.text is not None
    scale, bias = served.text.logit_scale, served.text.logit_bias
    assert bias is not None
    found = PictureMatcher(served).match(source, {source.key(0): TEXTS})
    for pair, cosine in found.cosines.items():
        assert found.probabilities[pair] == pytest.approx(1 / (1 + math.exp(-(scale * cosine + bias))))


def test_pairs_read_together_are_as_alone(source, reading_both):
    keys = [source.key(index) for index in range(3)]
    found = PictureMatcher(reading_both).match(source, dict.fromkeys(keys, TEXTS))
    assert len(found.probabilities) == len(found.cosines) == 9
    matching = reading_both.model.matching
    tokenizer = matching.tokenizer(reading_both.vocabulary())
    (batch,) = reading_both.batches(source, Skipped())
    for place, key in enumerate(keys):
        for one in TEXTS:
            with torch.inference_mode():
                alone = matching.log_odds(matching.see(batch.images[place : place + 1]), tokenizer, [one])
            assert found.probabilities[key, one] == pytest.approx(float(alone.sigmoid()), abs=1e-5)
    assert len({round(value, 4) for value in found.probabilities.values()}) > 5


def test_a_model_that_reads_nothing_is_refused():
    alone = PictureEncoder(IMAGE.build(), "pictures", lambda: "print", torch.device("cpu"))
    with pytest.raises(InputError, match="a model that reads text, but pictures sees pictures only"):
        PictureMatcher(alone)
