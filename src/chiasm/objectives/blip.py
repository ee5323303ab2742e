"""BLIP: pictures and captions find each other, are told apart when they do not go together, and captions are written.

Paper: Li et al., "BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language Understanding and
Generation", 2022, arXiv 2201.12086, sections 3.1 and 3.2.
Differs: pictures and texts are contrasted within a batch, as CLIP does it; there is no momentum encoder with its queue
and soft labels (Li et al., 2021, arXiv 2107.07651). All texts begin with one mark, not with one for each of the three
tasks, which are told apart by what a text is shown and by whom its tokens see. Captions are not filtered. Crops are
CLIP's, see `objectives._captioned`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.protocols import Losses, Trunk
from chiasm.core.views import Views
from chiasm.heads import med_writer
from chiasm.losses.clip import clip_loss
from chiasm.losses.matching import Others, hard_negatives, matching_loss
from chiasm.losses.next_token import next_token_loss
from chiasm.objectives._captioned import Captioned, FromCaptions
from chiasm.objectives._matches import share_matched
from chiasm.trunks import med


class SmallMed(med.Settings):
    """A MED for vocabularies and data of one's own; settings as in `trunks.med`."""

    vocab_size: int = Field(default=4096, gt=0)
    context_length: int = Field(default=64, gt=1)
    embed_dim: int = Field(default=256, gt=0)
    depth: int = Field(default=4, gt=0)
    num_heads: int = Field(default=4, gt=0)


class Config(Captioned):
    """Settings of BLIP; those that it shares with other objectives that learn from captions are described there.

    Attributes:
        text: what reads and writes; as many tokens as the recipe's vocabulary has.
        temperature: what cosines are divided by at first; it is learned.
        max_scale: cosines are never multiplied by more.
        match_weight: of the loss of pairs.
        smoothing: share of the probability of the next token that is wanted for all tokens alike.
    """

    text: SmallMed = SmallMed()
    temperature: float = Field(default=0.07, gt=0)
    max_scale: float = Field(default=100.0, gt=1)
    match_weight: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=0.1, ge=0, lt=1)

    @property
    def most_tokens(self) -> int:
        return self.text.vocab_size

    def reading(self, vocab_size: int) -> Config:
        return self.model_copy(update={"text": self.text.model_copy(update={"vocab_size": vocab_size})})

    def build(self, trunk: Trunk) -> Blip:
        """Wire the objective around a trunk."""
        return Blip(trunk, self)


class Blip(FromCaptions):
    """Learns by three losses over one batch, with the texts read twice and written once.

    Args:
        trunk: of the pictures.
        settings: of the method.
    """

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        scale, length = 1 / settings.temperature, settings.text.context_length
        super().__init__(trunk, settings.min_area, length, scale, settings.max_scale)
        self.pool = settings.pool.build(trunk.embed_dim)
        self.projection = nn.Linear(self.pool.out_dim, settings.embed_dim)
        self.reader = settings.text.trunk(trunk.embed_dim, looks_back=False)
        self.text_projection = nn.Linear(self.reader.embed_dim, settings.embed_dim)
        self.writer = med_writer.Config(**settings.text.model_dump()).build(trunk.embed_dim)
        self.writer.trunk.share(self.reader)
        self.match_head = nn.Linear(settings.text.embed_dim, 2)
        self.settings = settings

    @property
    def kept_pool(self) -> nn.Module:
        """That of the embeddings."""
        return self.pool

    def forward(self, batch: Views, progress: float) -> Losses:
        """The three losses on pictures and one caption of each."""
        del progress
        (tokens, told), settings = batch.texts[0].cut(), self.settings
        features = self.trunk(self.trunk.normalize(batch.images[0]))
        pictures, texts = self.projection(self.pool(features)), self.text_projection(self.reader(tokens)[:, 0])
        contrast = clip_loss(pictures, texts, self.logit_scale.exp())
        others = hard_negatives(pictures, texts, self.logit_scale.exp())
        match, share = self._pairs(tokens, features.tokens, others)
        write = next_token_loss(self.writer(tokens, features.tokens), tokens, told, settings.smoothing)
        terms = {
            "contrastive": contrast,
            "matching": match,
            "writing": write,
            "match": share_matched(pictures, texts),
            "pairs_right": share,
            "logit_scale": self.logit_scale.exp(),
        }
        return Losses(
            total=contrast + settings.match_weight * match + write,
            embeddings=pictures.detach(),
            terms={name: term.detach() for name, term in terms.items()},
        )

    def _pairs(
        self, tokens: Int64[Tensor, "B T"], shown: Float[Tensor, "B N _"], others: Others
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The loss of each text with its own picture and with another, and of each picture with another text.

        The share of pairs that are judged rightly comes with it.
        """
        own = torch.arange(len(tokens), device=tokens.device)
        texts, pictures = torch.cat([own, own, others.texts]), torch.cat([own, others.pictures, own])
        # Keys and values are those of the pictures: none is computed for more than one pair.
        seen = tuple(each.of(pictures) for each in self.reader.show(shown))
        logits = self.match_head(self.reader(tokens[texts], seen)[:, 0])
        belong = texts == pictures
        share = (logits.argmax(dim=1) == belong).float().mean()
        return matching_loss(logits, belong), share
