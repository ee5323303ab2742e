"""The embedded world as a source: `world:train?size=64&seed=1&domain=sketch&objects=1&length=5000`.

Options: `size` (side in pixels), `seed`, `length` (number of pictures), `domain`, `objects` (as many in every picture)
or `min_objects` and `max_objects`, `close_up` (0 or 1), `defects` (share of pictures with one). What else an example carries is switched by
0 or 1: `language` (captions and questions, on by default), `truth` (boxes and masks, off), `edit` (a triple, off).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from pydantic import Field

from chiasm.core.config import Config
from chiasm.core.errors import InputError, UnknownNameError
from chiasm.core.example import Example, Source
from chiasm.data.world.splits import SPLITS
from chiasm.data.world.world import World

# Options whose names in a text are shorter than the fields of the world that they set.
_FIELDS = {
    "size": ("size_px",),
    "length": ("num_pictures",),
    "objects": ("min_objects", "max_objects"),
    "seed": ("seed",),
    "domain": ("domain",),
    "min_objects": ("min_objects",),
    "max_objects": ("max_objects",),
    "close_up": ("close_up",),
    "defects": ("defects",),
}


class Content(Config):
    """What an example carries besides its picture and label."""

    language: bool = Field(default=True)
    truth: bool = Field(default=False)
    edit: bool = Field(default=False)


def splits(where: str) -> dict[str, str]:
    """The world's splits, each with the options that `where` gives."""
    return {split.name: split.name + where for split in SPLITS}


def world(where: str, name: str) -> Source:
    """Open a split of the world.

    Args:
        where: `split?option=value&...`.
        name: the text that opens it again.

    Raises:
        UnknownNameError: the split, the domain or an option does not exist; the nearest one is offered.
        InputError: a value is of the wrong kind or out of range.
    """
    named, _, text = where.partition("?")
    fields: dict[str, str] = {"split": named} if named else {}
    content: dict[str, str] = {}
    for option, value in _options(text, name):
        if option in Content.model_fields:
            content[option] = value
        elif option in _FIELDS:
            fields |= dict.fromkeys(_FIELDS[option], value)
        else:
            raise UnknownNameError("option of the world", option, [*_FIELDS, *Content.model_fields])
    return WorldSource(name, World.parse(fields, name), Content.parse(content, name))


@dataclass(frozen=True, slots=True)
class WorldSource:
    """A source over one split of the world; `world` makes it.

    Attributes:
        name: the text that opens it again.
        world: the pictures, and more about them than an example can say.
        content: what examples carry.
    """

    name: str
    world: World
    content: Content

    @property
    def classes(self) -> tuple[str, ...]:
        return self.world.classes

    def __len__(self) -> int:
        return len(self.world)

    def key(self, index: int) -> str:
        return self.world.key(index)

    def label(self, index: int) -> int | None:
        return self.world.label(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """Read one example; its size is the world's, whatever suffices, so that it does not depend on the reader."""
        content = self.content
        return self.world.example(index, truth=content.truth, language=content.language, edit=content.edit)


def _options(text: str, name: str) -> list[tuple[str, str]]:
    if not text:
        return []
    try:
        return parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise InputError("options as name=value", f"{text!r} came in {name}", "write for example ?size=64") from None
