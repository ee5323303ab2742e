"""What every evaluation answers with: a grid of results, a row for each model on each data set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from chiasm.core.predictors import Record
from chiasm.core.tables import Table, Value


class Result(Record):
    """How one model did on one data set; each evaluation has its own kind.

    Attributes:
        model: name of the model.
        fingerprint: of the model.
        data: source of the pictures judged.
        skipped: pictures that were left out, and why.
    """

    model: str
    fingerprint: str
    data: str
    skipped: dict[str, str]

    @abstractmethod
    def figures(self) -> Mapping[str, Value]:
        """What its row of the table shows beside model and data, by column; the same columns for all of a kind."""


class Missing(Record):
    """A place of the grid that stayed empty, and why."""

    model: str
    data: str
    reason: str


ResultT = TypeVar("ResultT", bound=Result)
WHY = "why not"
LEFT_OUT = "left out"
"""How many pictures were: they cannot be read, or are among those that were learnt from."""


class Evaluation(Record, Generic[ResultT]):
    """Many models on many data sets.

    Attributes:
        evaluation: its name.
        results: in the order of models, then of data sets; at least one.
        missing: pairs that could not be judged.
        csv, html: the files that were written.
    """

    evaluation: str
    results: tuple[ResultT, ...]
    missing: tuple[Missing, ...] = ()
    csv: Path | None = None
    html: Path | None = None

    def table(self) -> Table:
        """A row for each result, then one for each pair that is missing."""
        columns = list(dict.fromkeys(name for result in self.results for name in result.figures()))
        rows: list[tuple[Value, ...]] = []
        for result in self.results:
            figures = result.figures()
            rows.append((result.model, result.data, *(figures.get(name) for name in columns)))
        names = ("model", "data", *columns)
        if any(result.skipped for result in self.results):
            names = (*names, LEFT_OUT)
            rows = [(*row, len(result.skipped)) for row, result in zip(rows, self.results, strict=True)]
        if not self.missing:
            return Table(names, tuple(rows))
        rows = [(*row, None) for row in rows]
        rows += [(one.model, one.data, *(None for _ in names[2:]), one.reason) for one in self.missing]
        return Table((*names, WHY), tuple(rows), remarks=WHY)


@runtime_checkable
class Pages(Protocol):
    """Writes evaluations as self-contained pages."""

    def plain(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table."""
        ...

    def classification(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, then calibration, confusion matrix and classes of each result that has `Scores`."""
        ...

    def curves(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table and curves over the number of shots."""
        ...

    def contests(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table and, for each contest, what differs by class."""
        ...

    def captions(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, how captions compare with one for all pictures, and the worst and best of them."""
        ...

    def questions(self, out: Path, evaluation: Evaluation) -> None:
        """A page with the table, how right answers are by kind of question, and the wrong ones."""
        ...
