"""A model that tells whether texts belong to pictures, with weights and vocabulary: by cosine, or reading both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from scipy.special import expit

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Subset
from chiasm.core.predictors import Matches, TextEncoder
from chiasm.data.skipped import Skipped
from chiasm.models._writing import Matching
from chiasm.serve.encoder import PictureEncoder, open_encoder

PAIRS_AT_ONCE = 64
_Found = tuple[dict[tuple[str, str], float], tuple[tuple[str, str], ...]]
"""A number for each pair of picture and text, and the pictures that could not be read."""


class PictureMatcher:
    """Implements `core.predictors.Matcher` over a model.

    Args:
        encoder: the model, ready to see pictures.

    Raises:
        InputError: the model reads no text.
    """

    def __init__(self, encoder: PictureEncoder) -> None:
        if encoder.text is None and encoder.model.matching is None:
            do = "take a model that was tied to language, such as a CLIP"
            raise InputError("a model that reads text", f"{encoder.name} sees pictures only", do)
        self.name = encoder.name
        self._encoder = encoder

    def match(self, source: Source, texts: Mapping[str, Sequence[str]]) -> Matches:
        """How well texts go with the readable pictures of a source.

        A model that reads a text while it looks at the picture (BLIP) tells a probability, and so does one that was
        trained to judge each pair by itself (SigLIP). For others there is the cosine alone.

        Args:
            source: the pictures.
            texts: those of each picture, by its key; a picture without any is not read.

        Raises:
            InputError: the model's tokenizer cannot be used.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        asked = [place for place in range(len(source)) if texts.get(source.key(place))]
        pictures = Subset(source, asked, source.name)
        text, matching = self._encoder.text, self._encoder.model.matching
        cosines, skipped = ({}, ()) if text is None else self._cosines(text, pictures, texts)
        if matching is not None:
            probabilities, skipped = self._probabilities(matching, pictures, texts)
        elif text is not None and text.logit_bias is not None:
            scale, bias = text.logit_scale, text.logit_bias
            probabilities = {pair: float(expit(scale * value + bias)) for pair, value in cosines.items()}
        else:
            probabilities = {}
        return Matches(cosines, probabilities, skipped)

    def _cosines(self, text: TextEncoder, pictures: Source, texts: Mapping[str, Sequence[str]]) -> _Found:
        """Of every picture and each of its texts."""
        found = self._encoder.embed(pictures)
        pairs = [(row, key, one) for row, key in enumerate(found.keys) for one in texts[key]]
        words = {one: place for place, one in enumerate(dict.fromkeys(one for _, _, one in pairs))}
        vectors = text.embed(list(words))
        cosines = {(key, one): float(found.vectors[row] @ vectors[words[one]]) for row, key, one in pairs}
        return cosines, found.skipped

    def _probabilities(self, matching: Matching[Any], pictures: Source, texts: Mapping[str, Sequence[str]]) -> _Found:
        """Of every picture and each of its texts, read together."""
        skipped, tokenizer = Skipped(), matching.tokenizer(self._encoder.vocabulary())
        found: dict[tuple[str, str], float] = {}
        for batch in self._encoder.batches(pictures, skipped):
            pairs = [(row, one) for row, key in enumerate(batch.keys) for one in texts[key]]
            with self._encoder.computing():
                seen = matching.see(batch.images.to(self._encoder.device))
                for some in (pairs[first : first + PAIRS_AT_ONCE] for first in range(0, len(pairs), PAIRS_AT_ONCE)):
                    rows = torch.tensor([row for row, _ in some], device=self._encoder.device)
                    odds = matching.log_odds(matching.some(seen, rows), tokenizer, [one for _, one in some])
                    shares = odds.float().sigmoid().tolist()
                    found |= {(batch.keys[row], one): share for (row, one), share in zip(some, shares, strict=True)}
        return found, skipped.entries


def open_matcher(name: str) -> PictureMatcher:
    """Load what a text names (see `weights.find`) and make it ready to judge texts.

    Raises:
        InputError: nothing usable is there, or the model reads no text.
    """
    return PictureMatcher(open_encoder(name))
