"""A Flamingo that is asked: its prompts, its examples, texts among pictures, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer as Vocabulary
from tokenizers import decoders, models, pre_tokenizers, trainers

from chiasm.core.errors import InputError
from chiasm.core.example import Subset
from chiasm.core.predictors import Promptable
from chiasm.data.open import open_source
from chiasm.data.skipped import Skipped
from chiasm.data.tokenizer import Tokenizer
from chiasm.layers.gated_block import GatedBlock
from chiasm.models import flamingo
from chiasm.models._store import load_model, save_model
from chiasm.models._writing import Draft, Example, Writing
from chiasm.models.flamingo import Flamingo
from chiasm.ops.writing import Stops, beams, greedy
from chiasm.serve.encoder import PictureEncoder
from chiasm.serve.writer import PictureWriter
from chiasm.weights.card import Card

WORDS = "a cat sits on the red mat. what colour is it? two dogs! Question: Output: Short answer: blue"


@pytest.fixture(scope="module")
def vocabulary() -> str:
    """Byte pairs with blanks before words, as GPT-NeoX has them."""
    found = Vocabulary(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    found.train_from_iterator([WORDS] * 4, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    return found.to_str()


def built(vocab_size: int, **language) -> Flamingo:
    torch.manual_seed(0)
    image = {"family": "vit", "image_size": 16, "patch_size": 8, "embed_dim": 8, "depth": 1, "num_heads": 2}
    trunk = {"vocab_size": vocab_size, "context_length": 90, "embed_dim": 16, "depth": 3, "num_heads": 2, **language}
    settings = {
        "image": {"trunk": {**image, "final_norm": False}, "pool": {"by": {"kind": "class_then_norm"}}},
        "resampler": {"num_latents": 3, "depth": 1, "num_heads": 2, "head_dim": 4},
        "gated": {"every": 2, "num_heads": 2, "head_dim": 4},
        "language": {"trunk": trunk},
    }
    model = flamingo.Config.parse(settings, "a test").build().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


@pytest.fixture(scope="module")
def model(vocabulary) -> Flamingo:
    return built(Vocabulary.from_str(vocabulary).get_vocab_size() + 4)


@pytest.fixture(scope="module")
def tokenizer(model, vocabulary) -> Tokenizer:
    return model.writing.tokenizer(vocabulary)


@pytest.fixture(scope="module")
def seen(model) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=generator, dtype=torch.uint8)
    with torch.no_grad():
        return model.writing.see(images)


def spelt(vocabulary: str, text: str) -> list[int]:
    """The tokens of a whole text, as a tokenizer with the marks of OpenFlamingo gives them."""
    found = Vocabulary.from_str(vocabulary)
    found.add_special_tokens(["<|endofchunk|>", "<image>"])
    return found.encode(text).ids


def written(draft: Draft, num_tokens: int = 6) -> tuple[tuple[int, ...], ...]:
    stops = Stops(draft.stops.end, num_tokens, banned=draft.stops.banned)
    return greedy(draft.step, draft.beginnings, stops).tokens


def answers(model: Flamingo, latents: torch.Tensor, tokens: torch.Tensor, mark: int) -> torch.Tensor:
    """Logits of the last token, everything computed anew."""
    with torch.no_grad():
        return model(latents, tokens, tokens == mark)[:, -1]


def test_prompts_are_those_of_open_flamingo(model, vocabulary, tokenizer, seen):
    writing = model.writing
    assert writing.answers
    caption = writing.caption(seen[:2], tokenizer, "a cat")
    assert caption.beginnings.tolist() == [spelt(vocabulary, "<image>Output:a cat")] * 2
    questions = ["what colour is it?", "what colour is on?"]
    answer = writing.answer(seen[:2], tokenizer, questions)
    assert answer.beginnings.tolist() == [
        spelt(vocabulary, f"<image>Question:{question} Short answer:") for question in questions
    ]
    assert caption.stops.end == answer.stops.end == (tokenizer.number("<|endofchunk|>"),)
    assert (caption.stops.max_tokens, answer.stops.max_tokens) == (20, 5)


def test_examples_come_before_each_text(model, vocabulary, tokenizer, seen):
    examples = [
        Example(seen[:1], "blue", "what colour is it?"),
        Example(None, "two dogs!", "what is on the mat?"),
        Example(seen[1:2], "red", "what colour is the mat?"),
    ]
    draft = model.prompting.after(examples).answer(seen[2:], tokenizer, ["what is it?"] * 2)
    wanted = (
        "<image>Question:what colour is it? Short answer:blue<|endofchunk|>"
        "Question:what is on the mat? Short answer:two dogs!<|endofchunk|>"
        "<image>Question:what colour is the mat? Short answer:red<|endofchunk|>"
        "<image>Question:what is it? Short answer:"
    )
    assert draft.beginnings.tolist() == [spelt(vocabulary, wanted)] * 2
    latents = torch.stack([seen[0].expand(2, -1, -1), seen[1].expand(2, -1, -1), seen[2:]], dim=1)
    mark = tokenizer.number("<image>")
    torch.testing.assert_close(
        draft.step(draft.beginnings, None), answers(model, latents, draft.beginnings, mark), rtol=1e-8, atol=1e-8
    )


def test_captions_after_captions(model, vocabulary, tokenizer, seen):
    draft = model.prompting.after([Example(seen[:1], "a red cat")]).caption(seen[1:], tokenizer)
    assert draft.beginnings.tolist() == [spelt(vocabulary, "<image>Output:a red cat<|endofchunk|><image>Output:")] * 3


def test_token_by_token_as_all_anew(model, tokenizer, seen):
    """Whatever is written sees the last picture."""
    draft = model.prompting.after([Example(seen[:1], "a red cat")]).caption(seen[1:], tokenizer)
    latents = torch.stack([seen[0].expand(3, -1, -1), seen[1:]], dim=1)
    mark, texts = tokenizer.number("<image>"), draft.beginnings
    found = draft.step(texts, None)
    for _ in range(5):
        torch.testing.assert_close(found, answers(model, latents, texts, mark), rtol=1e-8, atol=1e-8)
        new = found.argmax(dim=1, keepdim=True)
        texts, found = torch.cat([texts, new], dim=1), draft.step(new, None)


def test_rows_choose_pictures_first_and_texts_later(model, tokenizer, seen):
    draft, mark = model.writing.caption(seen, tokenizer), tokenizer.number("<image>")
    rows, texts = torch.tensor([2, 2, 0]), draft.beginnings[:3]
    chosen = seen[rows].unsqueeze(1)
    torch.testing.assert_close(draft.step(texts, rows), answers(model, chosen, texts, mark), rtol=1e-8, atol=1e-8)
    again, new = torch.tensor([2, 0, 0]), torch.tensor([[5], [6], [7]])
    wanted = answers(model, chosen[again], torch.cat([texts[again], new], dim=1), mark)
    torch.testing.assert_close(draft.step(new, again), wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("language", [{}, {"positions": {"kind": "alibi"}, "parallel": False}], ids=["rotary", "alibi"])
def test_a_batch_writes_what_each_picture_alone_would(vocabulary, language):
    model = built(Vocabulary.from_str(vocabulary).get_vocab_size() + 4, **language)
    tokenizer = model.writing.tokenizer(vocabulary)
    images = torch.randint(0, 256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    with torch.no_grad():
        seen = model.writing.see(images)
        alone = torch.cat([model.writing.see(image.unsqueeze(0)) for image in images])
    torch.testing.assert_close(alone, seen)
    writing: Writing[torch.Tensor] = model.prompting.after([Example(seen[:1], "a cat")])
    together = written(writing.caption(seen, tokenizer))
    for row in range(3):
        one = writing.some(seen, torch.tensor([row]))
        assert written(writing.caption(one, tokenizer)) == together[row : row + 1]


def test_picture_text_and_examples_change_what_comes_next(model, tokenizer, seen):
    def next_(examples: list[Example[torch.Tensor]], picture: int, beginning: str) -> torch.Tensor:
        draft = model.prompting.after(examples).caption(seen[picture : picture + 1], tokenizer, beginning)
        return draft.step(draft.beginnings, None)

    plain = next_([Example(seen[:1], "a cat")], 1, "a")
    for other in (
        next_([Example(seen[:1], "a cat")], 2, "a"),
        next_([Example(seen[3:], "a cat")], 1, "a"),
        next_([Example(seen[:1], "a mat")], 1, "a"),
        next_([Example(None, "a cat")], 1, "a"),
        next_([], 1, "a"),
        next_([Example(seen[:1], "a cat")], 1, "the"),
    ):
        assert not torch.allclose(other, plain)


def test_any_text_among_pictures(model, vocabulary, tokenizer, seen):
    text = "two<image>dogs!<|endofchunk|><image> it is"
    draft = model.prompting.go_on(seen[:2], tokenizer, text)
    assert draft.beginnings.tolist() == [spelt(vocabulary, text)]
    wanted = answers(model, seen[:2].unsqueeze(0), draft.beginnings, tokenizer.number("<image>"))
    torch.testing.assert_close(draft.step(draft.beginnings, None), wanted, rtol=1e-8, atol=1e-8)
    for pictures, other in ((seen[:1], text), (seen[:3], text), (seen[:0], "it is")):
        with pytest.raises(InputError, match="for each of its pictures"):
            model.prompting.go_on(pictures, tokenizer, other)


def test_marks_in_words_are_refused(model, tokenizer, seen):
    for asked in ("what is <image>?", "a<|endofchunk|>b"):
        with pytest.raises(InputError, match="they hold <"):
            model.writing.answer(seen[:1], tokenizer, [asked])
        with pytest.raises(InputError, match="they hold <"):
            model.prompting.after([Example(seen[:1], asked)]).caption(seen, tokenizer)


def test_too_many_examples_are_told(model, tokenizer, seen):
    examples = [Example(seen[:1], "a red cat")] * 20
    with pytest.raises(InputError, match="at most 70 tokens, its examples counted"):
        model.prompting.after(examples).caption(seen, tokenizer)


def test_a_vocabulary_that_the_model_has_no_room_for(model, vocabulary):
    small = built(Vocabulary.from_str(vocabulary).get_vocab_size() + 1)
    with pytest.raises(InputError, match="<image>; take tokenizer and weights"):
        small.writing.tokenizer(vocabulary)
    # Marks that are there already keep their numbers.
    again = Vocabulary.from_str(vocabulary)
    again.add_special_tokens(["<image>", "<|endofchunk|>"])
    first = Vocabulary.from_str(vocabulary).get_vocab_size()
    assert model.writing.tokenizer(again.to_str()).number("<image>") == first


def test_closed_gates_leave_the_language_model_as_it_was(vocabulary):
    model = built(60)
    tokens = torch.tensor([[3, 59, 4, 5, 6]])
    with torch.no_grad():
        for block in model.gated.blocks:
            assert isinstance(block, GatedBlock)
            block.cross_gate.zero_()
            block.mlp_gate.zero_()
        latents = model.see(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).unsqueeze(1)
        torch.testing.assert_close(model(latents, tokens, tokens == 59), model.language(tokens))


def test_kept_as_a_folder_of_our_own_it_writes_the_same(model, vocabulary, tokenizer, seen, tmp_path):
    card = Card.now("A test", "nothing", "chiasm train x", 1.0, {}, {})
    stored = save_model(model, tmp_path, card, vocabulary)
    again = load_model(stored, Flamingo).double()
    assert again.config == model.config
    draft = again.writing.caption(seen, again.writing.tokenizer(stored.tokenizer()))
    assert written(draft) == written(model.writing.caption(seen, tokenizer))


def test_a_layer_for_more_blocks_than_there_are():
    with pytest.raises(InputError, match="there are 1 blocks and a layer for every 2"):
        built(60, depth=1)


def test_served_it_answers_after_examples_of_a_source(model, vocabulary):
    writer = PictureWriter(PictureEncoder(model, "f", lambda: "print", torch.device("cpu"), lambda: vocabulary))
    assert isinstance(writer, Promptable)
    shown, asked = open_source("world:test?size=32&length=3"), open_source("world:test?size=32&length=1&seed=1")
    key, question = asked.key(0), "what is it?"
    answer = writer.after(shown, 1).answer(asked, {key: [question]}).texts[key, question]
    first, of = shown.read(0).questions[0], model.writing.tokenizer(vocabulary)
    latents = [next(iter(writer.encoder.batches(Subset(one, [0], "one"), Skipped()))).images for one in (shown, asked)]
    with torch.no_grad():
        examples = [Example(model.writing.see(latents[0]), first.answer, first.question)]
        draft = model.prompting.after(examples).answer(model.writing.see(latents[1]), of, [question])
        wanted = beams(draft.step, draft.beginnings, draft.stops, draft.num_beams)
    assert answer == of.words(wanted.tokens[0])
    prints = [
        one.fingerprint for one in (writer, writer.after(shown, 1), writer.after(shown, 1), writer.after(asked, 1))
    ]
    assert prints[1] == prints[2]
    assert len(set(prints)) == 3
    with pytest.raises(InputError, match="5 examples with questions"):
        writer.after(shown, 5)
