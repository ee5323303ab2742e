"""BLIP that tells whether a text belongs to a picture: by their cosine, or by reading one while looking at the other.

Paper: Li et al., 2022, arXiv 2201.12086, sections 3.1, 3.2 (ITC, ITM) and 5.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.data.tokenizer import Tokenizer
from chiasm.models import dual_encoder
from chiasm.models._blip import BlipSide
from chiasm.models._writing import Matching
from chiasm.trunks.med import Med


class Config(dual_encoder.Config):
    """What a matcher is made of: a dual encoder whose text side is a MED, and a head.

    Attributes:
        pair_token: number of the token that takes the place of a text's first one where it is read with a picture:
            [ENC], 30523, in the authors' training; None to leave [CLS] there, as transformers does with the same
            weights.
    """

    pair_token: int | None = Field(default=None, ge=0)

    def build(self) -> BlipMatcher:
        """A model with random weights.

        Raises:
            InputError: the text side cannot look at the pictures, or the two sides end in vectors of different widths.
        """
        return BlipMatcher(self)


class BlipMatcher(dual_encoder.DualEncoder):
    """Pictures and texts in, how well each goes with each out; of single pairs with more care."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.pair_token = config.pair_token
        self.match_head = nn.Linear(self.reader.embed_dim, 2)

    @property
    def reader(self) -> Med:
        """What reads texts, alone or with pictures."""
        trunk, width = self.text_encoder.trunk, self.image_encoder.trunk.embed_dim
        if not isinstance(trunk, Med) or trunk.shown_dim != width:
            expected = f"a text side of the family med that looks at tokens {width} wide"
            raise InputError(expected, "another came", "set text.trunk.family and text.trunk.shown_dim")
        return trunk

    @property
    def matching(self) -> Matching[Features]:
        return _Matching(self)

    def match(self, features: Features, tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B 2"]:
        """Logits of "they do not belong together" and of "they do", for each picture with its text.

        Args:
            features: of the pictures.
            tokens: of the texts, one a picture; padding comes last.
        """
        return self.match_head(self.reader(tokens, self.reader.show(features.tokens))[:, 0])


class _Matching(BlipSide, Matching[Features]):
    """A matcher's reading of pairs."""

    def __init__(self, model: BlipMatcher) -> None:
        super().__init__(model.image_encoder, model.reader)
        self._model = model

    def log_odds(self, seen: Features, tokenizer: Tokenizer, texts: Sequence[str]) -> Float[Tensor, " B"]:
        tokens = self.tokens(tokenizer, texts, self._model.pair_token, seen.patches.device)
        apart, together = self._model.match(seen, tokens).unbind(1)
        return together - apart
