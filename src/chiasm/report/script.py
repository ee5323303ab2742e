"""Scripts of a page: the few blocks that answer to a hand bring one, and the page lets just these run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Script:
    """JavaScript that needs nothing from outside; it stands once on a page, whichever blocks bring it.

    Attributes:
        text: the program; it ends no script element.

    Raises:
        ValueError: it would.
    """

    text: str

    def __post_init__(self) -> None:
        if "</script" in self.text.lower() or "<!--" in self.text:
            raise ValueError("a script must not end or hide its own element, but it holds '</script' or '<!--'")

    @property
    def digest(self) -> str:
        """By which the page's policy knows it."""
        return f"sha256-{base64.b64encode(hashlib.sha256(self.text.encode()).digest()).decode('ascii')}"

    def __html__(self) -> str:
        return self.text


@runtime_checkable
class Scripted(Protocol):
    """A block that brings a script."""

    @property
    def script(self) -> Script: ...


@runtime_checkable
class Holding(Protocol):
    """A block that holds other blocks."""

    @property
    def blocks(self) -> Sequence[object]: ...


def scripts_of(blocks: Iterable[object]) -> tuple[Script, ...]:
    """The scripts of blocks and of all within them, each once, in the order of the page."""
    found: dict[Script, None] = {}
    for block in blocks:
        if isinstance(block, Scripted):
            found[block.script] = None
        if isinstance(block, Holding):
            found |= dict.fromkeys(scripts_of(block.blocks))
    return tuple(found)
