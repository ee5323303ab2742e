"""Texts that are padded, and texts that are written token by token: arrangements of theirs.

A text that grows is never computed twice: every attention keeps the keys and values of the tokens it has met
(`Memory`), and only new tokens run through the blocks. The numbers are those of the whole text computed at once.

Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.2.3 (who may look at whom); Shazeer, 2019, arXiv 1911.02150,
section 2.4 (keys and values kept while decoding).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from chiasm.layers.arrangement import SEPARATE, Arrangement, Attend, Separate, Some
from chiasm.layers.positions import Rotation


@dataclass(frozen=True, slots=True)
class Padded(Arrangement):
    """Texts of different lengths in rows of one length.

    Attributes:
        real: False where a place is only filled up; nobody looks there.
    """

    real: Bool[Tensor, "B N"]

    def look(
        self,
        how: Attend,
        query: Float[Tensor, "B N A D"],
        key: Float[Tensor, "B N A D"],
        value: Float[Tensor, "B N A D"],
    ) -> Float[Tensor, "B N _"]:
        seen = self.real[:, None, None, :]
        return SEPARATE.look(lambda query, key, value, _=None: how(query, key, value, seen), query, key, value)

    def some(self, tokens: Float[Tensor, "B N D"], kept: float) -> Some:
        some = SEPARATE.some(tokens, kept)
        return some._replace(arrangement=Padded(self.real[some.places]))


@dataclass(slots=True)
class Memory:
    """What attentions have met of the texts of a batch; it grows with every pass over new tokens (`after`).

    Attributes:
        length: tokens of each text so far, with those that only fill up.
        real: which of them are real; None where all are.
    """

    length: int = 0
    real: Bool[Tensor, "B N"] | None = None
    _met: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def choose(self, rows: Int64[Tensor, " _"]) -> None:
        """Go on with some of the texts, in that order; one may be taken several times."""
        self._met = [(key[rows], value[rows]) for key, value in self._met]
        self.real = None if self.real is None else self.real[rows]

    def after(self, num_new: int, real: Bool[Tensor, "B N"] | None = None, rotation: Rotation | None = None) -> After:
        """How new tokens of each text stand, for one pass through the blocks, which must be the same every time.

        Args:
            num_new: new tokens of each text.
            real: which of them are; None for all.
            rotation: their rotary positions, where the trunk has them.
        """
        if real is not None and self.real is None:
            self.real = real.new_ones(len(real), self.length)
        if self.real is not None:
            new = self.real.new_ones(len(self.real), num_new) if real is None else real
            self.real = torch.cat([self.real, new], dim=1)
        first, self.length = self.length, self.length + num_new
        return After(self, first, rotation)

    def join(
        self, place: int, key: Float[Tensor, "B A Q D"], value: Float[Tensor, "B A Q D"]
    ) -> tuple[Float[Tensor, "B A N D"], Float[Tensor, "B A N D"]]:
        """Keys and values that one attention has met, the new ones last.

        Args:
            place: of the attention, in the order of computing.
            key, value: of the new tokens.
        """
        if place == len(self._met):
            self._met.append((key, value))
        else:
            old_key, old_value = self._met[place]
            self._met[place] = torch.cat([old_key, key], dim=2), torch.cat([old_value, value], dim=2)
        return self._met[place]


class After(Arrangement):
    """New tokens that come after remembered ones; serves one pass.

    Args:
        memory: of the tokens before them, to which they are added.
        first: place of the first new token.
        rotation: rotary positions of the new tokens, where the trunk has them.
    """

    def __init__(self, memory: Memory, first: int, rotation: Rotation | None) -> None:
        self._memory = memory
        self._first = first
        self._rotation = rotation
        self._num_asked = 0

    @property
    def first(self) -> int:
        return self._first

    def look(
        self,
        how: Attend,
        query: Float[Tensor, "B N A D"],
        key: Float[Tensor, "B N A D"],
        value: Float[Tensor, "B N A D"],
    ) -> Float[Tensor, "B N _"]:
        # Blocks do not tell which of them asks, but they always ask in the same order.
        place, self._num_asked = self._num_asked, self._num_asked + 1
        real = self._memory.real
        seen = None if real is None else real[:, None, None, :]
        return Separate(self._rotation).look(
            lambda query, key, value, _=None: how(query, *self._memory.join(place, key, value), seen), query, key, value
        )

    def some(self, tokens: Float[Tensor, "B N D"], kept: float) -> Some:
        """Never: texts are written by models that are not in training.

        Raises:
            ValueError: always.
        """
        raise ValueError("nothing is dropped while a text is written; put the model in evaluation mode")
