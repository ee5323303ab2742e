"""The tokenizer: rows of one length that end as the model knows it, of texts cleaned as in its training."""

from __future__ import annotations

import pytest
import torch
from tokenizers import decoders
from vocabularies import END, NASTY, START, clip_files, clip_tokenizer

from chiasm.core.errors import InputError
from chiasm.data._cleaning import STEPS
from chiasm.data.tokenizer import Config
from chiasm.weights.vocabulary import vocabulary_in


@pytest.fixture(scope="module")
def vocabulary() -> str:
    return clip_tokenizer().to_str()


@pytest.fixture(scope="module")
def numbers() -> dict[str, int]:
    return clip_tokenizer().get_vocab()


def test_rows_are_filled_up_and_long_texts_keep_their_end(vocabulary, numbers):
    tokens = Config(padding=3).build(vocabulary, 8)(["cat", "the red cat " * 9, ""])
    assert tokens.shape == (3, 8)
    assert tokens.dtype == torch.int64
    start, end = numbers[START], numbers[END]
    assert tokens[0].tolist() == [start, numbers["cat</w>"], end, 3, 3, 3, 3, 3]
    the, red, cat = (numbers[f"{word}</w>"] for word in ("the", "red", "cat"))
    assert tokens[1].tolist() == [start, the, red, cat, the, red, cat, end]
    assert tokens[2].tolist() == [start, end, 3, 3, 3, 3, 3, 3]


def test_a_vocabulary_with_padding_and_length_of_its_own_gives_ours(vocabulary):
    own = clip_tokenizer()
    own.enable_padding(length=40, pad_id=7)
    own.enable_truncation(3)
    plain = Config().build(vocabulary, 16)(NASTY)
    assert torch.equal(Config().build(own.to_str(), 16)(NASTY), plain)


def test_nothing_that_is_text_fails(vocabulary):
    tokens = Config(cleaning=tuple(STEPS)).build(vocabulary, 16)([*NASTY, "a \udcff surrogate", "\x00"])
    assert tokens.shape == (len(NASTY) + 2, 16)
    assert Config().build(vocabulary, 16)([]).shape == (0, 16)


def test_a_damaged_vocabulary_is_told():
    with pytest.raises(InputError, match="cannot be read"):
        Config().build("{}", 8)


@pytest.mark.parametrize(
    ("step", "text", "cleaned"),
    [
        ("lower", "A Big CAT", "a big cat"),
        ("blank_underscores", "a_cat", "a cat"),
        ("no_punctuation", "a cat's (big) tail_end.", "a cats big tailend"),
        ("single_blanks", "  a\n\tcat \u00a0 sat ", "a cat sat"),
        ("repaired", "&ldquo;Tom &amp;amp; Jerry&rdquo;", '"Tom & Jerry"'),
        ("repaired", "<i>&amp;</i> \u2018\ufb01ne\u2019", "<i>&</i> 'fine'"),
        ("repaired", "\uff26\uff55\uff4c\uff4c\u3000cafe\u0301\r\nx\x07\ufeff\x1b[31m", "Full caf\u00e9\nx"),
        ("repaired", "it\x92s", "it's"),
    ],
)
def test_each_step_of_cleaning(step, text, cleaned):
    assert STEPS[step](text) == cleaned


def test_steps_are_taken_in_their_order(vocabulary):
    read = Config(cleaning=("repaired", "no_punctuation")).build(vocabulary, 16)
    assert torch.equal(read(["cat &amp; dog"]), read(["cat  dog"]))
    other = Config(cleaning=("no_punctuation", "repaired")).build(vocabulary, 16)
    assert not torch.equal(other(["cat &amp; dog"]), other(["cat  dog"]))


def test_tokens_of_a_text_alone_are_words_again(vocabulary, numbers):
    tokenizer = Config().build(vocabulary, 4)
    found = tokenizer.numbers("the red cat " * 3)
    assert found == tuple(numbers[f"{word}</w>"] for word in ("the", "red", "cat")) * 3
    assert tokenizer.words([numbers[START], *found[:3], numbers[END]]) == "the red cat"
    assert tokenizer.number(END) == numbers[END]
    with pytest.raises(InputError, match=r"a tokenizer with the token \[MASK\]"):
        tokenizer.number("[MASK]")


@pytest.mark.parametrize("decoder", [decoders.ByteLevel(), decoders.BPEDecoder(suffix="</w>")])
def test_words_are_apart_where_the_vocabulary_marks_their_ends(decoder):
    """CLIP's own decoder turns tokens into bytes and leaves the marks."""
    marked = clip_tokenizer()
    marked.decoder = decoder
    tokenizer = Config().build(marked.to_str(), 16)
    assert tokenizer.words(tokenizer([" the  red cat"])[0].tolist()).startswith("the red cat")
    assert tokenizer.words(tokenizer.numbers("the big red dog")) == "the big red dog"


def test_letters_of_several_bytes_are_letters_again(tmp_path):
    """From the older two files of CLIP's vocabulary."""
    clip_files(tmp_path)
    tokenizer = Config().build(vocabulary_in(tmp_path, "a model"), 16)
    assert (
        tokenizer.words(tokenizer.numbers("a na\u00efve caf\u00e9, \u65e5\u672c"))
        == "a na\u00efve caf\u00e9 , \u65e5\u672c"
    )
