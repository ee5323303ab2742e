"""The splits, and which combinations of class and colour each may show.

Rule: classes and colours are numbered by their places in `SHAPES` and `COLOURS`; the combinations with
(class + colour) divisible by 5 are held out. That is one fifth of all: every class keeps 8 of its 10 colours for
training, and every colour keeps 24 of 30 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from chiasm.core.errors import UnknownNameError
from chiasm.data.world.shapes import SHAPES, Shape
from chiasm.data.world.vocabulary import COLOURS, Colour

_STRIDE = 5


@dataclass(frozen=True, slots=True)
class Split:
    """A part of the world.

    Attributes:
        name: "train", "test" or "compositional".
        novel: shows only held-out combinations (else: only the others).
        length: number of pictures unless another is asked for.
    """

    name: str
    novel: bool
    length: int


SPLITS: tuple[Split, ...] = (
    Split("train", novel=False, length=100_000),
    Split("test", novel=False, length=10_000),
    Split("compositional", novel=True, length=10_000),
)


def split(name: str) -> Split:
    """The split of that name.

    Raises:
        UnknownNameError: there is none.
    """
    for known in SPLITS:
        if known.name == name:
            return known
    raise UnknownNameError("split of the world", name, [known.name for known in SPLITS])


def is_held_out(shape: Shape, colour: Colour) -> bool:
    """Whether a combination occurs only in the compositional split."""
    return (SHAPES.index(shape) + COLOURS.index(colour)) % _STRIDE == 0


@cache
def colours_of(shape: Shape, novel: bool) -> tuple[Colour, ...]:
    """Colours that a class may have in splits that show held-out combinations (`novel`) or in the others."""
    return tuple(colour for colour in COLOURS if is_held_out(shape, colour) == novel)


@cache
def shapes_of(colour: Colour, novel: bool) -> tuple[Shape, ...]:
    """Classes that a colour may have in splits that show held-out combinations (`novel`) or in the others."""
    return tuple(shape for shape in SHAPES if is_held_out(shape, colour) == novel)
