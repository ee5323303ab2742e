"""A SentencePiece file (`spiece.model`) as the JSON text of a tokenizer; its protocol buffer is read by hand.

Paper: Kudo and Richardson, 2018, arXiv 1808.06226; Kudo, 2018, arXiv 1804.10959 (the unigram model, the only kind that
is read). Field numbers are those of `sentencepiece_model.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.core.errors import InputError

_NORMAL, _UNKNOWN, _USER = 1, 2, 4
_UNIGRAM = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    score: float
    kind: int


def unigram_vocabulary(path: Path, name: str, end_token: str) -> str:
    """The JSON text of the tokenizer in a SentencePiece file; every text ends with the end token.

    Args:
        path: the file.
        name: how a person calls the model.
        end_token: text of the end token.

    Raises:
        InputError: it cannot be read, is of another kind, or has no end token or no unknown token.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces, kind, characters = _read(path, name)
    numbers = {piece.text: number for number, piece in enumerate(pieces)}
    unknown = next((number for number, piece in enumerate(pieces) if piece.kind == _UNKNOWN), None)
    if kind != _UNIGRAM or unknown is None or end_token not in numbers:
        raise InputError(
            f"a unigram model with an unknown and an end token ({end_token}) in {path}",
            f"that of {name} is another",
            "put its tokenizer.json beside it",
        )
    scores = [(piece.text, piece.score) for piece in pieces]
    try:
        tokenizer = Tokenizer(models.Unigram(scores, unknown, byte_fallback=False))
        tables = [normalizers.Precompiled(characters)] if characters else []
    except Exception as error:
        # The library raises nothing more special.
        raise _unreadable(path, name, error) from None
    blanks = [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence([*tables, *blanks])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end_token}", special_tokens=[(end_token, numbers[end_token])]
    )
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in (end_token, pieces[unknown].text)])
    tokenizer.add_tokens([AddedToken(piece.text, normalized=False) for piece in pieces if piece.kind == _USER])
    return tokenizer.to_str()


def _read(path: Path, name: str) -> tuple[list[_Piece], int, bytes]:
    """Pieces in their order, kind of model, table of characters.

    Raises:
        InputError: the file cannot be read.
    """
    pieces: list[_Piece] = []
    kind, characters = _UNIGRAM, b""
    try:
        for field, value in _fields(path.read_bytes()):
            if field == 1:
                pieces.append(_piece(value))
            elif field == 2:
                kind = dict(_fields(value)).get(3, _UNIGRAM)
            elif field == 3:
                characters = dict(_fields(value)).get(2, b"")
    except (OSError, ValueError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise _unreadable(path, name, error) from None
    return pieces, kind, characters


def _unreadable(path: Path, name: str, error: Exception) -> InputError:
    return InputError(f"the tokenizer of {name} in {path}", f"it cannot be read ({error})", "copy it again")


def _piece(message: bytes) -> _Piece:
    found = dict(_fields(message))
    return _Piece(found.get(1, b"").decode(), found.get(2, 0.0), found.get(3, _NORMAL))


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of the fields of a message: an int, a float or bytes, as its form says.

    Raises:
        ValueError: it is no such message.
        IndexError: it ends too early.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        form = key & 7
        if form == _VARINT:
            value, place = _varint(message, place)
        elif form == _BYTES:
            length, place = _varint(message, place)
            value, place = message[place : place + length], place + length
            if place > len(message):
                raise IndexError("it ends too early")
        elif form in (_FIXED32, _FIXED64):
            letter, width = ("<f", 4) if form == _FIXED32 else ("<d", 8)
            (value,) = struct.unpack(letter, message[place : place + width])
            place += width
        else:
            raise ValueError(f"field {key >> 3} has the unknown form {form}")
        yield key >> 3, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
