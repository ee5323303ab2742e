"""The embedded world as a source: `world:train?size=64&seed=1&domain=sketch&objects=1&length=5000`.

Options: `size` (side in pixels), `seed`, `length` (number of pictures), `domain`, `objects` (as many in every picture)
or `min_objects` and `max_objects`, `close_up` (share of pictures with one object before a plain wall), `defects` (share
of pictures with one). What else an example carries is switched by 0 or 1: `language` (captions and questions, on by
default), `truth` (boxes and masks, off), `edit` (a triple, off).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from chiasm.core.config import Config
from chiasm.core.errors import UnknownNameError
from chiasm.core.example import Example, Source
from chiasm.core.version import __version__
from chiasm.data.sources._splits import options_in
from chiasm.data.sources._stored import digest_of
from chiasm.data.world.mentions import check
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
    for option, value in options_in(text, name, "size=64"):
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

    def digest(self, index: int) -> str:
        """A digest of what the picture follows from: settings, key and the version of the code that draws it."""
        settings = self.world.model_dump_json(exclude={"num_pictures"})
        return digest_of(f"{__version__} {settings} {self.key(index)}".encode())

    def check(self, index: int, text: str) -> tuple[bool, ...]:
        """Whether each object that a text names is in a picture, in the colour that it is given."""
        return check(self.world.scene(index), text)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """Read one example; its size is the world's, whatever suffices, so that it does not depend on the reader."""
        content = self.content
        return self.world.example(index, truth=content.truth, language=content.language, edit=content.edit)
