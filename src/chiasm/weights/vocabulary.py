"""The tokenizer of a checkpoint, from whichever files hold it, as the JSON text that the library `tokenizers` reads."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.files import read_json, read_text

WHOLE, WORDS, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
_START, _END = "<|startoftext|>", "<|endoftext|>"
# What CLIP cuts a text into before it joins letters to tokens.
_PIECES = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def vocabulary_in(folder: Path, name: str) -> str:
    """The JSON text of the tokenizer in a folder.

    Args:
        folder: where; `tokenizer.json` is taken as it is, else one is made from `vocab.json` and `merges.txt` (CLIP).
        name: how a person calls the model.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    if (folder / WHOLE).is_file():
        return read_text(folder / WHOLE, f"the tokenizer of {name}")
    if (folder / WORDS).is_file() and (folder / MERGES).is_file():
        return _pairs(folder, name)
    raise InputError(
        f"the tokenizer of {name} in {folder}",
        "there is none",
        f"put its {WHOLE}, or {WORDS} and {MERGES}, there; without it, pictures can still be embedded",
    )


def _pairs(folder: Path, name: str) -> str:
    """CLIP's byte pairs, from the older two files.

    Raises:
        InputError: they are not CLIP's, or do not go together.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

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
    pieces = pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=[(_START, words[_START]), (_END, words[_END])]
    )
    tokenizer.add_special_tokens([_START, _END])
    return tokenizer.to_str()
