"""CoCa: captions are found by their pictures and written about them, with one pass through the text.

The first half of the text side reads a caption without the picture, and ends in a class token that is compared with
the picture's vector; the second half looks at the picture and tells what token comes next.

Paper: Yu et al., "CoCa: Contrastive Captioners are Image-Text Foundation Models", 2022, arXiv 2205.01917, sections 3.2
and 3.3; the weights of both losses in section 4.1.
Differs: one pooler gives the picture's vector and the tokens for the decoder, as in open_clip's code; see
`heads.attention_pool`. Crops are CLIP's, see `objectives._captioned`. The temperature is held as CLIP holds it.
"""

from __future__ import annotations

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.marks import MARKS, PADDING
from chiasm.core.protocols import Losses, Trunk
from chiasm.core.views import Views
from chiasm.heads import multimodal_decoder
from chiasm.heads import pool as pools
from chiasm.heads.attention_pool import ByQueries, QueriesPool
from chiasm.losses.clip import clip_loss
from chiasm.losses.next_token import next_token_loss
from chiasm.objectives._captioned import Captioned, FromCaptions
from chiasm.objectives._matches import share_matched
from chiasm.trunks import text_with_class


class SmallText(text_with_class.Config):
    """A text trunk for vocabularies and data of one's own; settings as in `trunks.text_with_class`."""

    vocab_size: int = Field(default=4096, gt=0)
    context_length: int = Field(default=64, gt=1)
    embed_dim: int = Field(default=256, gt=0)
    depth: int = Field(default=4, gt=0)
    num_heads: int = Field(default=4, gt=0)
    padding: int = Field(default=MARKS.index(PADDING), ge=0)

    def plain(self) -> text_with_class.Config:
        """The same as settings of the family, as a model keeps them."""
        return text_with_class.Config.model_validate(self.model_dump(exclude={"family"}))


class Config(Captioned):
    """Settings of CoCa; those that it shares with other objectives that learn from captions are described there.

    Attributes:
        text: reads captions without their pictures; as many tokens as the recipe's vocabulary has.
        decoder: goes on from there while it looks at the pictures.
        pool: the pooler: the first query gives the picture's vector, the others what the decoder looks at.
        temperature: what cosines are divided by at first; it is learned.
        max_scale: cosines are never multiplied by more.
        contrastive_weight, caption_weight: of the two losses.
    """

    text: SmallText = SmallText()
    decoder: multimodal_decoder.Config = multimodal_decoder.Config(depth=4, num_heads=4)
    pool: pools.Config = pools.Config(by=ByQueries(num_queries=65, num_heads=4))
    temperature: float = Field(default=0.07, gt=0)
    max_scale: float = Field(default=100.0, gt=1)
    contrastive_weight: float = Field(default=1.0, gt=0)
    caption_weight: float = Field(default=2.0, gt=0)

    @property
    def most_tokens(self) -> int:
        return self.text.vocab_size

    def reading(self, vocab_size: int) -> Config:
        return self.model_copy(update={"text": self.text.model_copy(update={"vocab_size": vocab_size})})

    def build(self, trunk: Trunk) -> Coca:
        """Wire the objective around a trunk.

        Raises:
            InputError: the pool is none of queries, or parts do not fit together.
        """
        return Coca(trunk, self)


class Coca(FromCaptions):
    """Learns by both losses over one batch.

    Args:
        trunk: of the pictures.
        settings: of the method.
    """

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        scale, length = 1 / settings.temperature, settings.text.context_length
        super().__init__(trunk, settings.min_area, length, scale, settings.max_scale)
        pooler = settings.pool.build(trunk.embed_dim)
        if not isinstance(pooler, QueriesPool):
            raise InputError("a pool of queries", "another came", "say --objective.pool.by.kind queries")
        self.pooler = pooler
        self.projection = nn.Linear(pooler.out_dim, settings.embed_dim, bias=False)
        self.text_trunk = settings.text.plain().build()
        self.text_projection = nn.Linear(self.text_trunk.embed_dim, settings.embed_dim, bias=False)
        self.decoder = settings.decoder.build(self.text_trunk.embed_dim, pooler.out_dim, self.text_trunk.vocab_size)
        for projection in (self.projection, self.text_projection):
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
        self.settings = settings

    @property
    def kept_pool(self) -> nn.Module:
        """That of the embeddings."""
        return self.pooler

    def forward(self, batch: Views, progress: float) -> Losses:
        """Both losses on pictures and one caption of each."""
        del progress
        settings, (tokens, told) = self.settings, batch.texts[0].cut()
        seen = self.pooler.all(self.trunk(self.trunk.normalize(batch.images[0])))
        read = self.text_trunk.together(tokens)
        pictures = self.projection(seen[:, 0])
        texts = self.text_projection(self.text_trunk.norm(read[:, -1]))
        contrast = clip_loss(pictures, texts, self.logit_scale.exp())
        # The decoder goes on from what each token meant before it saw the picture, which the class token does not see.
        write = next_token_loss(self.decoder(read[:, :-1], seen[:, 1:]), tokens, told)
        terms: dict[str, Float[Tensor, ""]] = {
            "contrastive": contrast,
            "caption": write,
            "match": share_matched(pictures, texts),
            "logit_scale": self.logit_scale.exp(),
        }
        return Losses(
            total=settings.contrastive_weight * contrast + settings.caption_weight * write,
            embeddings=pictures.detach(),
            terms={name: term.detach() for name, term in terms.items()},
        )
