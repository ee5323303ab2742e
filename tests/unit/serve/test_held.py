"""Weights that are kept in the precision that they are multiplied in."""

import copy

import pytest
import torch

from chiasm.data.open import open_source
from chiasm.heads.classes import ClassHead
from chiasm.models import classifier, vision_language
from chiasm.models.encoder import PictureModel
from chiasm.serve._held import held
from chiasm.serve.encoder import open_encoder
from chiasm.serve.writer import PictureWriter
from chiasm.weights.find import find

SOURCE = "world:test?size=64&length=6"


@pytest.fixture
def starter() -> PictureModel:
    """Of the build of the starter, with every parameter drawn at random."""
    torch.manual_seed(0)
    model = vision_language.Config.model_validate(dict(find("starter").config)).build().eval()
    for tensor in model.parameters():
        torch.nn.init.normal_(tensor, std=0.1)
    return model


def test_what_autocast_computes_stays_the_same_to_the_last_bit(starter):
    model = starter
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    tokens = torch.randint(4, 100, (3, 9))
    before, after = copy.deepcopy(model), held(model)
    assert before.texts is not None
    assert after.texts is not None
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(before.encoder(images), after.encoder(images))
        assert torch.equal(before.texts.encoder(tokens), after.texts.encoder(tokens))


def test_products_are_held_and_nothing_else(starter):
    model = held(starter)
    kinds = {name: tensor.dtype for name, tensor in model.named_parameters()}
    assert kinds["both.text_encoder.trunk.token_embedding.weight"] == torch.float32
    assert {kind for name, kind in kinds.items() if "norm" in name} == {torch.float32}
    linear = [name for name, module in model.named_modules() if type(module) is torch.nn.Linear]
    assert linear
    assert {kinds[f"{name}.weight"] for name in linear} == {torch.bfloat16}


def test_the_head_that_is_asked_outside_of_autocast_is_spared():
    trunk = {"family": "vit", "size": "tiny", "image_size": 32}
    settings = {"encoder": {"trunk": trunk}, "head": {"classes": ["a", "b"]}}
    model = held(classifier.Config.model_validate(settings).build())
    heads = [module for module in model.modules() if isinstance(module, ClassHead)]
    assert heads
    assert {tensor.dtype for head in heads for tensor in head.parameters()} == {torch.float32}
    assert torch.bfloat16 in {tensor.dtype for tensor in model.parameters()}


def test_weights_with_a_second_use_are_spared(starter):
    model = starter
    tied = model.texts.encoder.projection
    model.twice = torch.nn.Embedding(*tied.weight.shape)
    model.twice.weight = tied.weight
    held(model)
    assert tied.weight.dtype == torch.float32


def test_a_model_in_float64_is_left_alone(starter):
    assert {tensor.dtype for tensor in held(starter.double()).parameters()} == {torch.float64}


def test_an_opened_model_answers_as_before(monkeypatch):
    source = open_source(SOURCE)
    rounded = open_encoder("starter")
    monkeypatch.setattr("chiasm.serve.encoder.held", lambda model: model)
    whole = open_encoder("starter")
    assert (rounded.embed(source).vectors == whole.embed(source).vectors).all()
    words = ["a red ring", "two dots"]
    assert rounded.text is not None
    assert whole.text is not None
    assert (rounded.text.embed(words) == whole.text.embed(words)).all()
    assert PictureWriter(rounded).caption(source).texts == PictureWriter(whole).caption(source).texts
