"""Showing records: JSON for programs, tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from chiasm.core.estimates import Estimate
from chiasm.core.tables import Table, Tabled, Value

MISSING = "–"
SHOWN_ROWS = 20
"""Longer lists are cut for people; JSON always holds everything."""
_NAME_WIDTH = 16
"""Characters that a column of names has at least beside figures, if it has so many; longer ones are folded."""


def show(record: BaseModel, as_json: bool, console: Console) -> None:
    """Print a task's answer."""
    if as_json:
        console.out(record.model_dump_json(indent=2), highlight=False)
        return
    facts = Grid(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    tables = []
    if isinstance(record, Tabled):
        _show_table(record.table(), console)
        return
    for name, value in record:
        title = name.replace("_", " ")
        if _is_rows(value):
            tables.append((title, _rows(value), len(value)))
        elif isinstance(value, BaseModel):
            tables.append((title, _rows([value]), 1))
        else:
            facts.add_row(title, escape(_text(value)))
    if facts.row_count:
        console.print(facts)
    for title, table, num_rows in tables:
        cut = f" (first {SHOWN_ROWS} of {num_rows})" if num_rows > SHOWN_ROWS else ""
        console.print(f"\n[bold]{title}[/bold]{cut}", highlight=False)
        console.print(table)


def _show_table(table: Table, console: Console) -> None:
    """All rows of a table; what was not measured is a dash, columns without any value are left out.

    Figures that have no room beside the names follow below, beside the names again. A remark stands below the table,
    after the words that its row begins with.
    """
    told = [name for name in table.columns if any(value is not None for value in table.column(name))]
    names = [name for name in told if name != table.remarks]
    for place, part in enumerate(_parts(table, names, console.width)):
        shown = Grid(box=None, padding=(0, 1, 0, 0))
        for name in part:
            # Names may be folded, figures stay whole.
            shown.add_column(name, overflow="fold", min_width=_width(table, name) if _is_figure(table, name) else None)
        for cells in zip(*(table.column(name) for name in part), strict=True):
            shown.add_row(*(escape(_cell(cell)) for cell in cells))
        if place:
            console.print()
        console.print(shown)
    for row, remark in zip(table.rows, table.column(table.remarks) if table.remarks else (), strict=False):
        if remark is not None:
            words = [value for value in row if isinstance(value, str) and value != remark]
            console.print(escape(f"{MISSING} {', '.join(words)}: {remark}"), style="dim", highlight=False)


def _parts(table: Table, names: Sequence[str], width: int) -> Iterator[list[str]]:
    """Columns that fit beside each other, each time after the names that rows begin with."""
    heads = list(takewhile(lambda name: not _is_figure(table, name), names))
    room = width - sum(min(_width(table, name), _NAME_WIDTH) + 1 for name in heads)
    part, taken = list(heads), 0
    for name in names[len(heads) :]:
        needed = max(_width(table, name), *map(len, name.split())) + 1
        if taken and taken + needed > room:
            yield part
            part, taken = list(heads), 0
        part.append(name)
        taken += needed
    yield part


def _is_figure(table: Table, name: str) -> bool:
    return not any(isinstance(value, str) for value in table.column(name))


def _width(table: Table, name: str) -> int:
    """Of the longest line of a column."""
    return max(len(line) for value in table.column(name) for line in _cell(value).splitlines())


def _cell(value: Value) -> str:
    """A value of a table; an estimate with its interval in a second line."""
    if value is None:
        return MISSING
    if isinstance(value, Estimate):
        between = "–" if value.low >= 0 else " to "
        return f"{value.value:.3f}\n{value.low:.2f}{between}{value.high:.2f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_rows(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and isinstance(value[0], BaseModel)


def _rows(records: Sequence[BaseModel]) -> Grid:
    """A line for each record; columns in which none of them has anything are left out."""
    table = Grid(box=None, padding=(0, 2, 0, 0))
    names = [name for name in type(records[0]).model_fields if any(_is_told(getattr(one, name)) for one in records)]
    for name in names:
        words = name.split("_")
        table.add_column(" ".join(words), overflow="fold", min_width=max(map(len, words)))
    for record in records[:SHOWN_ROWS]:
        table.add_row(*(escape(_text(getattr(record, name))) for name in names))
    return table


def _is_told(value: Any) -> bool:
    """Whether there is anything to show: zeros and False are, None and empty lists are not."""
    return value is not None and value != () and value != {}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        return _listed([f"{key} {_text(item)}" for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return _listed([_text(item) for item in value])
    return "none" if value is None else str(value)


def _listed(texts: Sequence[str]) -> str:
    """The first of some texts, and how many more there are."""
    more = [f"and {len(texts) - SHOWN_ROWS} more"] if len(texts) > SHOWN_ROWS else []
    return ", ".join([*texts[:SHOWN_ROWS], *more]) or "none"
