"""BERT's word pieces, from the list of its tokens (`vocab.txt`).

Paper: Wu et al., 2016, arXiv 1609.08144, section 4.1 (the longest known piece first); Devlin et al., 2018, arXiv
1810.04805, section 3 ([CLS] before a text, [SEP] after it).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chiasm.core.errors import InputError
from chiasm.core.files import read_text

_START, _END, _UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
# Others, such as those that BLIP adds, are meant by nobody who writes them in a text.
_SPECIAL = ("[PAD]", _UNKNOWN, _START, _END, "[MASK]")


def wordpiece_vocabulary(file: Path, name: str, settings: Mapping[str, Any]) -> str:
    """The JSON text of the tokenizer.

    Args:
        file: a token a line, in the order of their numbers.
        name: how a person calls the model.
        settings: of its tokenizer; whether it tells capitals, accents and Chinese characters apart.

    Raises:
        InputError: the file cannot be read, or is no such list.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    lines = read_text(file, f"the vocabulary of {name}").rstrip("\n").split("\n")
    words = {line.rstrip("\r"): number for number, line in enumerate(lines)}
    missing = [token for token in (_START, _END, _UNKNOWN) if token not in words]
    if missing:
        do = "put a tokenizer.json beside it"
        raise InputError(f"BERT's vocabulary in {file}", f"it has no token {missing[0]}", do)
    tokenizer = Tokenizer(models.WordPiece(words, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=[(_START, words[_START]), (_END, words[_END])]
    )
    tokenizer.add_special_tokens([token for token in _SPECIAL if token in words])
    return tokenizer.to_str()
