"""Flamingo: a language model learns to look at pictures that stand among its words, through gates that begin closed.

Paper: Alayrac et al., "Flamingo: a Visual Language Model for Few-Shot Learning", 2022, arXiv 2204.14198, sections 2.1
to 2.4; Awadalla et al., 2023, arXiv 2308.01390 (OpenFlamingo: learned vectors for its marks).
Differs: pictures with captions are put one after the other into one text, each picture before its own caption, so that
the model learns to read examples from data that has no texts with several pictures; all tokens count alike, and there
is one kind of data. A language model and a trunk that are trained stay as they are, as in the paper; where there is no
trained language model, one begins at random and learns with the rest. Crops are CLIP's, see `objectives._captioned`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from chiasm.core.errors import InputError
from chiasm.core.protocols import Losses, Objective, ObjectiveConfig, Trunk
from chiasm.core.views import Texts, TextSpec, Views, ViewSpec
from chiasm.heads import gated_layers
from chiasm.heads import pool as pools
from chiasm.heads import resampler as resamplers
from chiasm.heads.speaker import Speaker
from chiasm.layers.held import Held
from chiasm.losses.next_token import next_token_loss
from chiasm.objectives._captioned import nearly_all
from chiasm.ops.interleaving import latest_picture
from chiasm.trunks import language as transformers
from chiasm.trunks.language import Before


class SmallLanguage(transformers.Config):
    """A language model for vocabularies and data of one's own; settings as in `trunks.language`."""

    vocab_size: int = Field(default=4096, gt=0)
    embed_dim: int = Field(default=256, gt=0)
    depth: int = Field(default=4, gt=0)
    num_heads: int = Field(default=4, gt=0)

    def plain(self) -> transformers.Config:
        """The same as settings of the family, as a model keeps them."""
        return transformers.Config.model_validate(self.model_dump(exclude={"family"}))


class Config(ObjectiveConfig):
    """Settings of Flamingo.

    Attributes:
        language: the language model that begins at random, where no trained one is named.
        resampler: the patches of a picture to a few tokens.
        gated: the layers through which the language model looks at them.
        pictures: with their texts, one after the other in one text; 1 for texts with one picture.
        context_length: most tokens of the text of one picture.
        caption_weight, answer_weight: of the losses of captions and of answers; 0 leaves one out.
        locked: whether the trunk stays as it is (the paper's way, with one that is trained).
        min_area: smallest share of the picture that is seen.
        pool: how a picture's tokens become one vector, in the model that is kept.
    """

    language: SmallLanguage = SmallLanguage()
    resampler: resamplers.Config = resamplers.Config(num_latents=16, depth=2)
    gated: gated_layers.Config = gated_layers.Config()
    pictures: int = Field(default=2, gt=0)
    context_length: int = Field(default=64, gt=2)
    caption_weight: float = Field(default=1.0, ge=0)
    answer_weight: float = Field(default=0.0, ge=0)
    locked: bool = False
    min_area: float = Field(default=0.8, gt=0, le=1)
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())

    @model_validator(mode="after")
    def _learns_something(self) -> Config:
        if not self.caption_weight and not self.answer_weight:
            raise InputError("something to write", "caption_weight and answer_weight are 0", "give one a weight")
        return self

    @property
    def most_tokens(self) -> int:
        """Of the vocabulary that is learned where no language model is named."""
        return self.language.vocab_size

    @property
    def longest(self) -> int:
        """Most tokens of a text with all its pictures."""
        return self.pictures * self.context_length

    def reading(self, vocab_size: int) -> Config:
        """The same for another vocabulary."""
        return self.model_copy(update={"language": self.language.model_copy(update={"vocab_size": vocab_size})})

    def build(self, trunk: Trunk) -> Flamingo:
        """Wire the objective around a trunk and a language model that begins at random."""
        room = max(self.language.context_length, self.longest)
        settings = self.language.plain().model_copy(update={"context_length": room})
        return Flamingo(trunk, Speaker(settings, writes_as_it_reads=False), self)


class Marks(NamedTuple):
    """Tokens that a trained language model never met.

    Attributes:
        picture: stands where a picture does.
        end: ends a text.
    """

    picture: int
    end: int


class Frozen(nn.Module):
    """A language model that stays as it is, but for the vectors of the marks, which learn.

    Args:
        language: trained; its tables have rows for the marks. No part of the state.
        marks: their numbers.
    """

    def __init__(self, language: Speaker, marks: Marks) -> None:
        super().__init__()
        self.language = Held(language)
        self.marks = marks
        table = language.trunk.token_embedding.weight.detach()
        # In the middle of what the model knows, where no word is favoured.
        self.vectors = nn.Parameter(table[: min(marks)].mean(dim=0).repeat(len(marks), 1))
        own = language.next_token
        self.written = None if own is None else nn.Parameter(own.detach()[: min(marks)].mean(dim=0))

    def forward(self, tokens: Int64[Tensor, "B T"], before: Sequence[Before]) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token; see `heads.speaker`."""
        language = self.language.on(tokens.device)
        first, *others = before
        vectors = language.trunk(tokens, before=[lambda vectors: first(self._marked(vectors, tokens)), *others])
        logits = language.logits(vectors)
        for number, vector in self._written():
            here = torch.arange(logits.shape[-1], device=tokens.device) == number
            logits = torch.where(here, (vectors @ vector.to(vectors.dtype)).unsqueeze(-1), logits)
        return logits

    def _written(self) -> Iterator[tuple[int, Tensor]]:
        """What the marks are written by: both by what they are read by where the tables are one."""
        if self.written is None:
            yield from zip(self.marks, self.vectors, strict=True)
        else:
            yield self.marks.end, self.written

    def _marked(self, vectors: Float[Tensor, "B T D"], tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """The vectors of tokens, with those of the marks as they are learned."""
        for number, vector in zip(self.marks, self.vectors, strict=True):
            vectors = torch.where((tokens == number).unsqueeze(-1), vector.to(vectors.dtype), vectors)
        return vectors

    def filled(self, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the language model, with those of the marks.

        Args:
            learned: the state of this module.
        """
        state = {name: tensor.detach().clone() for name, tensor in self.language.module.state_dict().items()}
        read = state["trunk.token_embedding.weight"]
        read[list(self.marks)] = learned["vectors"].to(read)
        if "written" in learned:
            state["next_token"][self.marks.end] = learned["written"].to(read)
        return state


class Flamingo(Objective):
    """A trunk, what makes a few tokens of each picture, and a language model that looks at them.

    Args:
        trunk: of the pictures.
        language: what writes: one that learns, or a `Frozen` one.
        settings: of the method.

    Raises:
        InputError: the language model has no room for so many pictures with their texts.
    """

    def __init__(self, trunk: Trunk, language: Speaker | Frozen, settings: Config) -> None:
        super().__init__()
        self.language = language
        room = self.speaker.trunk.context_length
        if settings.longest > room:
            came = f"{settings.pictures} pictures with {settings.context_length} each came"
            do = "lower --objective.pictures or --objective.context-length"
            raise InputError(f"texts of at most {room} tokens in all", came, do)
        self.trunk = trunk.requires_grad_(not settings.locked)
        self.resampler = settings.resampler.build(trunk.embed_dim)
        words = self.speaker.trunk
        self.gated = settings.gated.build(words.embed_dim, trunk.embed_dim, len(words.blocks))
        self.settings = settings
        self._weights = {"caption": settings.caption_weight, "answer": settings.answer_weight}

    @property
    def speaker(self) -> Speaker:
        """What writes, whether it learns or not."""
        return self.language.language.module if isinstance(self.language, Frozen) else self.language

    def train(self, mode: bool = True) -> Flamingo:
        """Paths are dropped in training, but not of a trunk that stays as it is."""
        super().train(mode)
        self.trunk.train(mode and not self.settings.locked)
        return self

    def views(self) -> tuple[ViewSpec, ...]:
        """Most of the picture, as it is."""
        return (nearly_all(self.trunk.image_size, self.settings.min_area),)

    def texts(self) -> tuple[TextSpec, ...]:
        """A caption, an answer, or both, as a Flamingo is asked for them."""
        length = self.settings.context_length
        return tuple(
            TextSpec(what=what, length=length, phrases="spoken")
            for what in ("caption", "answer")
            if self._weights[what]
        )

    def forward(self, batch: Views, progress: float) -> Losses:
        """The loss of the texts of all pictures, several in a row.

        Raises:
            InputError: the pictures do not fill whole texts.
        """
        del progress
        count = len(batch.images[0])
        if count % self.settings.pictures:
            came = f"{count} pictures for texts of {self.settings.pictures}"
            raise InputError("pictures of a process that fill whole texts", came, "change --engine.batch-size")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.settings.locked):
            features = self.trunk(self.trunk.normalize(batch.images[0]))
        latents = self.resampler(features).unflatten(0, (-1, self.settings.pictures))
        total, terms = latents.new_zeros(()), {}
        for spec, texts in zip(self.texts(), batch.texts, strict=True):
            joined = in_a_row(texts, self.settings.pictures)
            loss = next_token_loss(self.logits(latents, joined), joined.tokens, joined.told)
            total = total + self._weights[spec.what] * loss
            terms[spec.what] = loss.detach()
        opened = torch.stack([gate.detach().abs() for name, gate in self.gated.named_parameters() if "gate" in name])
        terms["open"] = opened.tanh().mean()
        return Losses(total=total, embeddings=features.patches.detach().mean(dim=1), terms=terms)

    def logits(self, latents: Float[Tensor, "B M Q D"], texts: Row) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token of texts with several pictures.

        Args:
            latents: of their pictures.
            texts: as `in_a_row` made them.
        """
        shown = self.gated.show(latents, latest_picture(texts.begins, latents.shape[1]))
        return self.language(texts.tokens, before=self.gated.before(shown))


class Row(NamedTuple):
    """Texts with several pictures each.

    Attributes:
        tokens: their numbers; what fills up comes last.
        told: which of them are learned.
        begins: which of them are the marks that pictures stand at.
    """

    tokens: Int64[Tensor, "B T"]
    told: Bool[Tensor, "B T"]
    begins: Bool[Tensor, "B T"]


def in_a_row(texts: Texts, count: int) -> Row:
    """Texts of one picture each put together, `count` at a time, without what fills them up.

    Args:
        texts: as many as fill whole rows; each begins with the mark of its picture.
        count: of one row.
    """
    places = torch.arange(texts.told.shape[1], device=texts.told.device)
    lengths = ((places + 1) * texts.told).amax(dim=1).clamp(min=1).tolist()
    tokens = [row[:length] for row, length in zip(texts.tokens, lengths, strict=True)]
    told = [row[:length] for row, length in zip(texts.told, lengths, strict=True)]
    begins = [places[:length] == 0 for length in lengths]

    def rows(parts: list[Tensor]) -> Tensor:
        together = [torch.cat(parts[first : first + count]) for first in range(0, len(parts), count)]
        return pad_sequence(together, batch_first=True)

    return Row(rows(tokens), rows(told), rows(begins))
