"""An encoder that looks into a store of vectors before it encodes anything, for pictures as for texts.

What is missing is encoded in growing pieces, each kept as soon as it is done: who is interrupted goes on from there.
Every answer is read from what was kept, copies of a picture included, so that the first run and all later ones give the
same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import BrokenPictureError, TooManyBrokenError
from chiasm.core.example import Source, Subset
from chiasm.core.predictors import Embeddings, Encoder, OwnClasses, TextEncoder
from chiasm.data.among import digests
from chiasm.data.skipped import Skipped
from chiasm.data.vector_store import Shelf, VectorStore, content_key

Item = TypeVar("Item")
# Pictures and texts that are encoded before the first of them are kept; twice as many each time after that, so that
# a large set leaves few files.
_FIRST_PIECE, _LARGEST_PIECE = 256, 8192


class Remembered:
    """Implements `core.predictors.Encoder` over another one.

    Args:
        encoder: makes the vectors that are missing.
        store: where they are kept.
    """

    def __init__(self, encoder: Encoder, store: VectorStore) -> None:
        self.name = encoder.name
        self.embed_dim = encoder.embed_dim
        self._encoder = encoder
        self._store = store

    @property
    def fingerprint(self) -> str:
        """That of the encoder."""
        return self._encoder.fingerprint

    @property
    def own_classes(self) -> OwnClasses | None:
        """Those of the encoder."""
        return self._encoder.own_classes

    @property
    def text(self) -> RememberedText | None:
        """The side that reads text, with the same memory."""
        text = self._encoder.text
        return None if text is None else RememberedText(text, self._store, self.embed_dim)

    def embed(self, source: Source) -> Embeddings:
        """Vectors of all readable pictures of a source.

        Raises:
            InputError: the store is damaged or cannot be written.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        shelf = self._store.shelf("pictures", self.fingerprint)
        contents = _contents(source)
        known = self._known(contents.keys, shelf)
        missing = {key: place for place, key in enumerate(contents.keys) if key is not None and key not in known}
        if missing:
            self._encode(source, missing, shelf)
            known = self._known(contents.keys, shelf)
        return _assembled(source, contents, known, self.embed_dim)

    def _known(self, keys: Sequence[bytes | None], shelf: Shelf) -> dict[bytes, np.ndarray | str]:
        """A row (the vector, then its length) or the reason why there is none, of what was met before."""
        asked = list(dict.fromkeys(key for key in keys if key is not None))
        rows, is_there = shelf.get(asked, self.embed_dim + 1)
        known: dict[bytes, np.ndarray | str] = {}
        for key, row, is_found in zip(asked, rows, is_there, strict=True):
            note = row if is_found else self._store.broken(key)
            if note is not None:
                known[key] = note
        return known

    def _encode(self, source: Source, missing: dict[bytes, int], shelf: Shelf) -> None:
        """Encode the pictures at some places and keep what comes out, piece by piece."""
        for piece in _pieces(list(missing.items())):
            places = {source.key(place): key for key, place in piece}
            try:
                found = self._encoder.embed(Subset(source, [place for _, place in piece], source.name))
            except TooManyBrokenError:
                # Too many of this piece need not be too many of all.
                found = self._encoder.embed(source)
                places = {source.key(place): key for key, place in missing.items()}
                self._keep(found, places, shelf)
                return
            self._keep(found, places, shelf)

    def _keep(self, found: Embeddings, contents: dict[str, bytes], shelf: Shelf) -> None:
        """Put vectors on the shelf and note which pictures are broken.

        Args:
            found: what the encoder made.
            contents: what is to be kept, by key of the picture; others that were encoded as well are not.
            shelf: where.
        """
        kept = [place for place, key in enumerate(found.keys) if key in contents]
        rows = np.column_stack([found.vectors[kept], found.norms[kept]])
        shelf.put([contents[found.keys[place]] for place in kept], rows)
        for key, reason in found.skipped:
            if key in contents:
                self._store.note_broken(contents[key], reason)


class RememberedText:
    """Implements `core.predictors.TextEncoder` over another one.

    Args:
        text: makes the vectors that are missing.
        store: where they are kept.
        embed_dim: width of the vectors.
    """

    def __init__(self, text: TextEncoder, store: VectorStore, embed_dim: int) -> None:
        self.logit_scale = text.logit_scale
        self.logit_bias = text.logit_bias
        self._text = text
        self._store = store
        self._embed_dim = embed_dim

    @property
    def fingerprint(self) -> str:
        """That of the encoder."""
        return self._text.fingerprint

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "B D"]:
        """Vectors of length 1 of texts, in their order.

        Raises:
            InputError: the store is damaged or cannot be written, or the encoder cannot read text after all.
        """
        shelf = self._store.shelf("texts", self.fingerprint)
        keys = [content_key(text) for text in texts]
        rows, is_there = shelf.get(keys, self._embed_dim)
        missing = {keys[place]: texts[place] for place in np.flatnonzero(~is_there).tolist()}
        # In this order texts that begin alike are read together, which is less work.
        for piece in _pieces(sorted(missing.items(), key=lambda item: item[1])):
            shelf.put([key for key, _ in piece], self._text.embed([text for _, text in piece]))
        return shelf.get(keys, self._embed_dim)[0] if missing else rows


@dataclass(frozen=True, slots=True)
class _Contents:
    """Identity of the content of each picture of a source.

    Attributes:
        keys: None where it cannot be read.
        reasons: why not, by place.
    """

    keys: tuple[bytes | None, ...]
    reasons: dict[int, str]


def _contents(source: Source) -> _Contents:
    """Read what every picture is made of; nothing is decoded."""
    found = digests(source, range(len(source)))
    reasons = {place: one.reason for place, one in enumerate(found) if not isinstance(one, str)}
    return _Contents(tuple(content_key(one) if isinstance(one, str) else None for one in found), reasons)


def _assembled(source: Source, contents: _Contents, known: dict[bytes, np.ndarray | str], embed_dim: int) -> Embeddings:
    """What is known of the pictures of a source, in its order."""
    skipped, kept = Skipped(), []
    rows: list[np.ndarray] = []
    for place, content in enumerate(contents.keys):
        key = source.key(place)
        skipped.seen(key)
        found = contents.reasons[place] if content is None else known[content]
        if isinstance(found, str):
            skipped.broken(BrokenPictureError(key, found))
        else:
            kept.append(place)
            rows.append(found)
    skipped.finish()
    table = np.array(rows, np.float32).reshape(len(rows), embed_dim + 1)
    labels = [source.label(place) for place in kept]
    return Embeddings(
        vectors=np.ascontiguousarray(table[:, :-1]),
        norms=table[:, -1].copy(),
        keys=tuple(source.key(place) for place in kept),
        labels=np.array([-1 if label is None else label for label in labels], np.int64),
        classes=source.classes,
        skipped=skipped.entries,
    )


def _pieces(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Items in pieces of growing size."""
    start, size = 0, _FIRST_PIECE
    while start < len(items):
        yield items[start : start + size]
        start, size = start + size, min(2 * size, _LARGEST_PIECE)
