"""The tokenizer of a checkpoint, from whichever files hold it, as the JSON text that the library `tokenizers` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chiasm.core.errors import InputError
from chiasm.core.files import read_json, read_text
from chiasm.weights._sentencepiece import unigram_vocabulary
from chiasm.weights._wordpiece import wordpiece_vocabulary

WHOLE, WORDS, MERGES, PIECES, LINES = "tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "vocab.txt"
_SETTINGS = "tokenizer_config.json"
_START, _END = "<|startoftext|>", "<|endoftext|>"
# What CLIP cuts a text into before it joins letters to tokens.
_WORDS_OF_CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def vocabulary_in(folder: Path, name: str) -> str:
    """The JSON text of the tokenizer in a folder.

    Args:
        folder: where; `tokenizer.json` is taken, else one is made from `vocab.json` and `merges.txt` (CLIP), from
            `spiece.model` (SigLIP) or from `vocab.txt` (BERT, BLIP).
        name: how a person calls the model.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    if (folder / WHOLE).is_file():
        return read_text(folder / WHOLE, f"the tokenizer of {name}")
    if (folder / WORDS).is_file() and (folder / MERGES).is_file():
        return _pairs(folder, name)
    if (folder / PIECES).is_file():
        end = _content(tokenizer_settings(folder).get("eos_token")) or "</s>"
        return unigram_vocabulary(folder / PIECES, name, end)
    if (folder / LINES).is_file():
        return wordpiece_vocabulary(folder / LINES, name, tokenizer_settings(folder))
    raise InputError(
        f"the tokenizer of {name} in {folder}",
        "there is none",
        f"put its {WHOLE}, its {WORDS} and {MERGES}, its {PIECES} or its {LINES} there; "
        "pictures can be embedded without it",
    )


def tokenizer_settings(folder: Path | None) -> Mapping[str, Any]:
    """What `tokenizer_config.json` says; nothing where there is none.

    Raises:
        InputError: it cannot be read.
    """
    path = None if folder is None else folder / _SETTINGS
    return read_json(path, "the settings of a tokenizer") if path is not None and path.is_file() else {}


def padding_in(folder: Path | None) -> int | None:
    """Number of the token that short texts are filled up with; None where `tokenizer_config.json` does not tell.

    Raises:
        InputError: it cannot be read.
    """
    settings = tokenizer_settings(folder)
    padding = _content(settings.get("pad_token"))
    tokens = settings.get("added_tokens_decoder", {}).items() if padding is not None else ()
    return next((int(number) for number, token in tokens if _content(token) == padding), None)


def _content(token: Any) -> str | None:
    """Text of a special token, which is written as it is or with its properties."""
    return token.get("content") if isinstance(token, Mapping) else token


def _pairs(folder: Path, name: str) -> str:
    """CLIP's byte pairs, from the older two files.

    Raises:
        InputError: they are not CLIP's, or do not go together.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    words = read_json(folder / WORDS, f"the vocabulary of {name}")
    lines = read_text(folder / MERGES, f"the merges of {name}").splitlines()
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#version"))
    merges = [(left, right) for left, _, right in pairs]
    missing = [token for token in (_START, _END) if token not in words]
    if missing:
        raise InputError(
            f"CLIP's vocabulary in {folder / WORDS}", f"it has no token {missing[0]}", f"put a {WHOLE} beside it"
        )
    try:
        model = models.BPE(words, merges, end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token=_END)
    except Exception as error:
        # The library raises nothing more special.
        do = "copy both files again"
        raise InputError(f"merges of known tokens in {folder / MERGES}", f"they are not ({error})", do) from None
    tokenizer = Tokenizer(model)
    blanks = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), blanks, normalizers.Lowercase()])
    split = pre_tokenizers.Split(Regex(_WORDS_OF_CLIP), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=[(_START, words[_START]), (_END, words[_END])]
    )
    tokenizer.add_special_tokens([_START, _END])
    return tokenizer.to_str()
