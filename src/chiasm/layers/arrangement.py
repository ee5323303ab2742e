"""Where the tokens of which picture stand: each picture in a row of its own, or pictures of all sizes in one row.

Blocks compute with tokens and need not know. The few things that depend on it (who looks at whom, rotary positions,
pictures that are dropped) are asked of the arrangement.

Paper: Oquab et al., 2023, arXiv 2304.07193, section 5 (crops of all sizes in one pass).
Differs: tokens of a packed row look at each other in one attention call for each size, not in one call with a
block-diagonal mask; the numbers are the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from chiasm.layers.positions import Rotation


@runtime_checkable
class Attend(Protocol):
    """How queries look at keys and take their values: `attention.attend` or `attention.attend_back`."""

    def __call__(
        self,
        query: Float[Tensor, "B A Q D"],
        key: Float[Tensor, "B A N D"],
        value: Float[Tensor, "B A N D"],
        seen: Bool[Tensor, "B 1 #Q N"] | None = None,
        /,
    ) -> Float[Tensor, "B A Q D"]:
        """What each query takes of the values that it may see; of all where `seen` is None."""
        ...


class Some(NamedTuple):
    """A part of the pictures.

    Attributes:
        axis: of the tokens, along which `places` counts.
        places: what belongs to those pictures: rows of `Separate` tokens, tokens of a `Packed` row.
        arrangement: of that part alone.
        scale: how many times as many pictures there are in all, for each row or token.
    """

    axis: int
    places: Int64[Tensor, " _"]
    arrangement: Arrangement
    scale: Float[Tensor, "_ _ 1"]


class Arrangement(ABC):
    """Base of all; heads of queries, keys and values stand as a joint linear map leaves them.

    Attributes:
        first: place of the first token in its row; above 0 where it comes after remembered ones (`layers.memory`).
    """

    @property
    def first(self) -> int:
        return 0

    @abstractmethod
    def look(
        self,
        how: Attend,
        query: Float[Tensor, "B N A D"],
        key: Float[Tensor, "B N A D"],
        value: Float[Tensor, "B N A D"],
    ) -> Float[Tensor, "B N _"]:
        """What every token takes from the tokens of its picture, its heads joined."""

    @abstractmethod
    def some(self, tokens: Float[Tensor, "B N D"], kept: float) -> Some:
        """A share `kept` of the pictures of each size, drawn at random; at least one.

        What is no whole number is rounded at random, so that the share holds on average.
        """


@dataclass(frozen=True, slots=True)
class Separate(Arrangement):
    """Pictures of one size, each in a row of its own: `[B N D]`.

    Attributes:
        rotation: rotary positions of the tokens, where the trunk has them.
    """

    rotation: Rotation | None = None

    def look(
        self,
        how: Attend,
        query: Float[Tensor, "B N A D"],
        key: Float[Tensor, "B N A D"],
        value: Float[Tensor, "B N A D"],
    ) -> Float[Tensor, "B N _"]:
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if self.rotation is not None:
            query, key = self.rotation.turn(query), self.rotation.turn(key)
        return how(query, key, value).transpose(1, 2).flatten(2)

    def some(self, tokens: Float[Tensor, "B N D"], kept: float) -> Some:
        count = max(int(len(tokens) * kept + torch.rand(()).item()), 1)
        places = torch.randperm(len(tokens), device=tokens.device)[:count]
        rotation = None if self.rotation is None else self.rotation.of_pictures(places)
        # In bfloat16 the quotient would be rounded, and every branch biased.
        scale = tokens.new_full(
            (count, 1, 1), len(tokens) / count, dtype=torch.promote_types(tokens.dtype, torch.float32)
        )
        return Some(0, places, Separate(rotation), scale)


SEPARATE = Separate()
"""The usual arrangement: a picture a row, no rotary positions."""


@dataclass(frozen=True, slots=True)
class Packed(Arrangement):
    """Pictures of several sizes, size after size in one row: `[1 N D]`.

    Attributes:
        sizes: how many pictures, and how many tokens each of them has.
        groups: how the pictures of each size are arranged when they stand alone.
    """

    sizes: tuple[tuple[int, int], ...]
    groups: tuple[Arrangement, ...]

    def join(self, groups: Sequence[Float[Tensor, "_ _ _"]]) -> Float[Tensor, "1 N _"]:
        """The row of tokens of all groups."""
        return torch.cat([tokens.flatten(0, 1) for tokens in groups]).unsqueeze(0)

    def split(self, row: Float[Tensor, "1 N *_"]) -> list[Float[Tensor, "_ _ *_"]]:
        """The tokens of each group, as views of the row."""
        parts = row.squeeze(0).split([pictures * length for pictures, length in self.sizes])
        return [part.unflatten(0, size) for part, size in zip(parts, self.sizes, strict=True)]

    def look(
        self,
        how: Attend,
        query: Float[Tensor, "B N A D"],
        key: Float[Tensor, "B N A D"],
        value: Float[Tensor, "B N A D"],
    ) -> Float[Tensor, "B N _"]:
        parts = zip(self.groups, self.split(query), self.split(key), self.split(value), strict=True)
        return self.join([group.look(how, *heads) for group, *heads in parts])

    def some(self, tokens: Float[Tensor, "B N D"], kept: float) -> Some:
        parts = [group.some(part, kept) for group, part in zip(self.groups, self.split(tokens), strict=True)]
        first, places = 0, []
        for part, (pictures, length) in zip(parts, self.sizes, strict=True):
            within = torch.arange(length, device=tokens.device)
            places.append((first + part.places.unsqueeze(1) * length + within).flatten())
            first += pictures * length
        sizes = tuple((len(part.places), length) for part, (_, length) in zip(parts, self.sizes, strict=True))
        arrangement = Packed(sizes, tuple(part.arrangement for part in parts))
        scales = [part.scale.expand(*size, 1) for part, size in zip(parts, sizes, strict=True)]
        return Some(1, torch.cat(places), arrangement, self.join(scales))


def packing_is_faster(groups: Sequence[Tensor]) -> bool:
    """Whether pictures of different sizes should share a row: where an accelerator computes.

    There few large operations keep it busier than many small ones. On a CPU the products of one size keep the cores
    busy already: one pass for each size took 0.97 to 1.03 times as long (`benchmarks/packing.py`).
    """
    return len(groups) > 1 and groups[0].device.type != "cpu"
