"""CoOp: learned vectors in the place of words give what the words would; the gradient is that of the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from references import redrawn
from vocabularies import END, clip_tokenizer

from chiasm.adapt import coop
from chiasm.adapt._context import PromptedClasses
from chiasm.core.errors import InputError
from chiasm.core.predictors import NamedClasses
from chiasm.core.seeds import stream
from chiasm.data.tokenizer import Config as TokenizerConfig
from chiasm.models import text_encoder
from chiasm.models.text_encoder import TextEncoder, TextParts
from chiasm.ops.vectors import unit_rows
from chiasm.trunks import text

NAMES = ("cat", "red_circle", "dog")
SENTENCES = ["a photo of a cat.", "a photo of a red circle.", "a photo of a dog."]
CPU = torch.device("cpu")


def bare(vocabulary: str) -> str:
    """The vocabulary without tokens before and after a text, as that of SigLIP has none before."""
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_str(vocabulary)
    end = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, end)])
    return tokenizer.to_str()


@pytest.fixture(params=["clip", "siglip"])
def parts(request) -> TextParts:
    """The two ways to read a text: at its end token by looking back, or at the last place by looking at all."""
    numbers = clip_tokenizer().get_vocab()
    is_clip = request.param == "clip"
    trunk = text.Config(
        vocab_size=len(numbers), context_length=24, embed_dim=16, depth=2, num_heads=2, looks_back=is_clip
    )
    pool = {"kind": "end_token", "end_token": numbers[END]} if is_clip else {"kind": "last_place"}
    config = text_encoder.Config.model_validate({"trunk": trunk, "pool": pool, "projection": 12})
    # Larger numbers than elsewhere, so that one word changes what another means.
    encoder = redrawn(TextEncoder(config), deviation=0.6).eval()
    vocabulary = clip_tokenizer().to_str()
    tokenizer = TokenizerConfig(padding=1).build(vocabulary if is_clip else bare(vocabulary), 24)
    return TextParts(encoder, tokenizer, CPU)


class Words:
    """The side of a model that reads."""

    fingerprint: str = "words"
    logit_scale: float = 7.0
    logit_bias: float | None = None

    def __init__(self, parts: TextParts) -> None:
        self.parts = parts

    def embed(self, texts) -> np.ndarray:
        with torch.no_grad():
            return unit_rows(self.parts.encoder(self.parts.tokenizer(texts)).numpy())[0]


def named(parts: TextParts) -> NamedClasses:
    words = Words(parts)
    return NamedClasses(NAMES, words.embed(SENTENCES), words)


def examples(parts: TextParts, num_each: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that lie where the names are not."""
    draw = stream(2, "coop examples")
    means = draw.normal(size=(len(NAMES), 12))
    labels = np.tile(np.arange(len(NAMES)), num_each)
    return unit_rows(means[labels] + 0.3 * draw.normal(size=(len(labels), 12)))[0], labels


def test_vectors_of_words_give_what_the_words_give(parts: TextParts) -> None:
    tokens = torch.tensor(parts.tokenizer.numbers("a photo of a"))
    context = parts.encoder.trunk.token_embedding(tokens).detach().clone()
    expected = named(parts).vectors
    for one in (context, context.repeat(len(NAMES), 1, 1)):
        found = PromptedClasses(parts, NAMES, one)().detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-12)
    other = PromptedClasses(parts, NAMES, context.flip(0))().detach().numpy()
    assert np.abs(other - expected).max() > 1e-3
    own = context.repeat(len(NAMES), 1, 1)
    own[1] = own[1].flip(0)
    moved = np.abs(PromptedClasses(parts, NAMES, own)().detach().numpy() - expected).max(axis=1)
    assert (moved > 1e-3).tolist() == [False, True, False]


def test_the_first_step_goes_down_the_slope_of_the_cross_entropy(parts: TextParts) -> None:
    vectors, labels = examples(parts)
    settings = coop.Config(words="a photo of a", epochs=1, warmup_lr=0.5, batch_size=99)
    learner = settings.build()
    start = learner._beginning(parts, len(NAMES))

    def loss(context: torch.Tensor) -> float:
        with torch.no_grad():
            classes = PromptedClasses(parts, NAMES, context)().numpy()
        total = 0.0
        for one, label in zip(vectors, labels, strict=True):
            logits = [7.0 * sum(a * b for a, b in zip(one, name, strict=True)) for name in classes]
            total += math.log(sum(math.exp(logit) for logit in logits)) - logits[label]
        return total / len(labels)

    gradient, step = torch.zeros_like(start), 1e-5
    for row in range(len(start)):
        for column in range(0, start.shape[1], 5):
            shift = torch.zeros_like(start)
            shift[row, column] = step
            gradient[row, column] = (loss(start + shift) - loss(start - shift)) / (2 * step)
    prompted = PromptedClasses(parts, NAMES, start.clone())
    learner._train(prompted, torch.from_numpy(vectors), torch.from_numpy(labels), 7.0)
    moved = (start - prompted.context.detach()) / 0.5
    np.testing.assert_allclose(moved[:, ::5].numpy(), gradient[:, ::5].numpy(), atol=1e-7)
    assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("class_specific", [False, True])
def test_learning_names_the_examples_better_and_changes_nothing_else(parts: TextParts, class_specific: bool) -> None:
    vectors, labels = examples(parts)
    before = {name: weight.clone() for name, weight in parts.encoder.state_dict().items()}
    settings = coop.Config(num_context=4, class_specific=class_specific, epochs=60, lr=0.5, batch_size=5)
    classifier = settings.build().fit_named(vectors, labels, named(parts))
    rows = np.arange(len(labels))
    start = settings.model_copy(update={"epochs": 1, "warmup_lr": 0.0}).build().fit_named(vectors, labels, named(parts))
    losses = [-np.log(one.probabilities(vectors)[rows, labels]).mean() for one in (start, classifier)]
    assert losses[1] < 0.95 * losses[0]
    assert all(torch.equal(before[name], weight) for name, weight in parts.encoder.state_dict().items())
    assert all(weight.grad is None for weight in parts.encoder.parameters())
    again = settings.build().fit_named(vectors, labels, named(parts))
    np.testing.assert_array_equal(again.classes, classifier.classes)
    other = settings.model_copy(update={"seed": 1}).build().fit_named(vectors, labels, named(parts))
    assert np.abs(other.classes - classifier.classes).max() > 1e-3


def test_epochs_follow_the_number_of_examples() -> None:
    assert [coop._usual_epochs(shots) for shots in (1, 2, 4, 8, 16)] == [50, 100, 100, 200, 200]


def test_names_that_do_not_fit_are_told(parts: TextParts) -> None:
    long = "big small many red green blue circle"
    context = torch.zeros(20, 16, dtype=torch.float64)
    with pytest.raises(InputError, match=f"room for 20 vectors in 24 tokens, but '{long}' does not"):
        PromptedClasses(parts, ("cat", long), context)


def test_a_model_that_cannot_be_learned_through_is_told(parts: TextParts) -> None:
    class Closed:
        fingerprint: str = "closed"
        logit_scale: float = 1.0
        logit_bias: float | None = None

        def embed(self, texts) -> np.ndarray:
            return np.zeros((len(texts), 12))

    vectors, labels = examples(parts)
    closed = NamedClasses(NAMES, named(parts).vectors, Closed())
    with pytest.raises(InputError, match="text side can be learned through"):
        coop.Config().build().fit_named(vectors, labels, closed)
