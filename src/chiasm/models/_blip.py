"""What BLIP's captioner, answerer and matcher share: how they see pictures and take texts.

Paper: Li et al., 2022, arXiv 2201.12086, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from chiasm.core.features import Features
from chiasm.data import tokenizer as tokenizers
from chiasm.data.tokenizer import Tokenizer
from chiasm.models._writing import Seeing
from chiasm.models.encoder import Encoder
from chiasm.trunks.med import Med


class BlipSide(Seeing[Features]):
    """Sees all tokens of a picture.

    Args:
        image_encoder: pictures to tokens.
        reader: of texts.
    """

    def __init__(self, image_encoder: Encoder, reader: Med) -> None:
        self._image_encoder = image_encoder
        self._reader = reader

    def tokenizer(self, vocabulary: str) -> Tokenizer:
        tokenizing = tokenizers.Config(padding=self._reader.padding)
        return tokenizing.build(vocabulary, self._reader.context_length)

    def see(self, images: UInt8[Tensor, "B 3 H W"]) -> Features:
        return self._image_encoder.features(images)

    def some(self, seen: Features, rows: Int64[Tensor, " _"]) -> Features:
        return seen.of(rows)

    def vectors(self, seen: Features) -> Float[Tensor, "B D"]:
        return self._image_encoder.vectors(seen)

    def tokens(
        self, tokenizer: Tokenizer, texts: Sequence[str], first_token: int | None, device: torch.device
    ) -> Int64[Tensor, "B T"]:
        """Tokens of texts to be read, as few as the longest needs.

        Args:
            tokenizer: as `tokenizer` made it.
            texts: of any lengths.
            first_token: number of the token that takes the place of the first one; None to leave it as it is.
            device: where they are read.
        """
        tokens = tokenizer(texts)
        tokens = tokens[:, : int(self._reader.real(tokens).sum(dim=1).max())]
        if first_token is not None:
            tokens[:, 0] = first_token
        return tokens.to(device)
