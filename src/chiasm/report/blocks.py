"""What a section of a page holds besides pictures and plots: text, figures, tables, facts, commands, details.

A block is anything that writes itself as HTML through `__html__` (the protocol of Jinja and MarkupSafe); a new kind of
block therefore needs no line here or in the page. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from chiasm.report import formats
from chiasm.report._templates import render


@runtime_checkable
class Block(Protocol):
    """Something that can stand in a section."""

    def __html__(self) -> str:
        """HTML with nothing left to escape and no reference to anything outside it."""
        ...


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section."""

    title: str

    def __html__(self) -> str:
        return render("blocks.html", "heading", self)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text; an empty line begins a new paragraph."""

    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in (part.strip() for part in self.text.split("\n\n")) if part)

    def __html__(self) -> str:
        return render("blocks.html", "paragraph", self)


@dataclass(frozen=True, slots=True)
class Note:
    """A remark set apart: what a reader should bear in mind."""

    title: str
    text: str

    def __html__(self) -> str:
        return render("blocks.html", "note", self)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number worth a card.

    Attributes:
        label: what was measured.
        value: the number; None is written as a dash.
        unit: its unit, written after it.
        interval: lower and upper end, in the same unit.
        confidence: of the interval, 0 to 1.
        note: what to compare it with ("chance: 10 %").
        show: how value and interval are written.
    """

    label: str
    value: float | None
    unit: str = ""
    interval: tuple[float, float] | None = None
    confidence: float = 0.95
    note: str = ""
    show: Callable[[float | None], str] = formats.compact

    @property
    def shown_interval(self) -> str:
        if self.interval is None:
            return ""
        low, high = (self.show(end) for end in self.interval)
        return f"{100 * self.confidence:g}\u202f% interval {low} to {high}"


@dataclass(frozen=True, slots=True)
class Figures:
    """A strip of cards with one number each."""

    items: Sequence[Figure]

    def __html__(self) -> str:
        return render("blocks.html", "figures", self)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: its header; units belong here.
        align: where its cells are set; numbers stand on the right.
        show: how a value is written.
        best: picks the value to emphasise from those that are there (`max`, `min`); None emphasises nothing.
    """

    title: str
    align: Literal["left", "right", "centre"] = "left"
    show: Callable[[Any], str] = formats.text
    best: Callable[[list[Any]], Any] | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as a table prints it."""

    text: str
    align: str
    emphasised: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headed columns; the first column heads its row.

    Attributes:
        columns: from left to right.
        rows: one value for each column; None is a value that was not measured.
        caption: what the table shows.

    Raises:
        ValueError: a row is not as long as there are columns.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {index} has {len(row)} values, but the table has {len(self.columns)} columns")

    @property
    def cells(self) -> list[list[Cell]]:
        best = [self._best(position) for position in range(len(self.columns))]
        return [
            [
                Cell(column.show(value), column.align, value is not None and value == winner)
                for column, value, winner in zip(self.columns, row, best, strict=True)
            ]
            for row in self.rows
        ]

    def _best(self, position: int) -> Any:
        choose = self.columns[position].best
        values = [row[position] for row in self.rows if row[position] is not None]
        return choose(values) if choose is not None and len(values) > 1 else None

    def __html__(self) -> str:
        return render("blocks.html", "table", self)


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they stand for, two columns without a frame."""

    items: Sequence[tuple[str, str]]

    def __html__(self) -> str:
        return render("blocks.html", "facts", self)


@dataclass(frozen=True, slots=True)
class Command:
    """Text to copy as it stands: a shell command, a listing, JSON."""

    text: str

    def __html__(self) -> str:
        return render("blocks.html", "command", self)


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks folded away under a line that opens them: the command that gave a figure, the full table."""

    summary: str
    blocks: Sequence[Block]

    def __html__(self) -> str:
        return render("blocks.html", "details", self)


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks side by side where the window is wide enough, below each other where it is not."""

    blocks: Sequence[Block] = field(default_factory=tuple)

    def __html__(self) -> str:
        return render("blocks.html", "columns", self)
