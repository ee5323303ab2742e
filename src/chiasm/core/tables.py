"""Tables of figures: the one form in which an answer goes to a terminal, a CSV file and a report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from chiasm.core.estimates import Estimate
from chiasm.core.files import write_text

Value = Estimate | float | int | str | None
"""What stands in a cell; None where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns.

    Attributes:
        columns: names, each once.
        rows: one value for each column.
        remarks: name of the column that holds sentences, which have no room in a terminal's table and stand below it.

    Raises:
        ValueError: a row is not as long as there are columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    remarks: str | None = None

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {index} has {len(row)} values, but the table has {len(self.columns)} columns")

    def column(self, name: str) -> tuple[Value, ...]:
        """The values below one name."""
        place = self.columns.index(name)
        return tuple(row[place] for row in self.rows)


@runtime_checkable
class Tabled(Protocol):
    """An answer that says itself how it is put into a table."""

    def table(self) -> Table:
        """The table that sums it up."""
        ...


def write_csv(path: Path, table: Table) -> None:
    """Write a table as comma-separated values; an estimate takes three columns (`x`, `x low`, `x high`).

    Raises:
        InputError: the place cannot be written or the disk is full.
    """
    spread = [any(isinstance(value, Estimate) for value in table.column(name)) for name in table.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        word
        for name, is_wide in zip(table.columns, spread, strict=True)
        for word in ((name, f"{name} low", f"{name} high") if is_wide else (name,))
    )
    for row in table.rows:
        writer.writerow(
            cell for value, is_wide in zip(row, spread, strict=True) for cell in _cells(value, is_wide=is_wide)
        )
    write_text(path, text.getvalue())


def _cells(value: Value, *, is_wide: bool) -> Sequence[float | int | str]:
    """A value as one cell or three; nothing measured is an empty cell, and 0 is 0."""
    if isinstance(value, Estimate):
        return value.value, value.low, value.high
    one = "" if value is None else value
    return (one, "", "") if is_wide else (one,)
