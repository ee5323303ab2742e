"""What every evaluation takes beside models and data, and what it does with them when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from chiasm.core.errors import InputError
from chiasm.core.predictors import Encoder
from chiasm.core.tables import write_csv
from chiasm.data.remembered import Remembered
from chiasm.data.vector_store import VectorStore
from chiasm.evaluate._answer import Evaluation, Pages, ResultT


class Options(TypedDict, total=False):
    """How sure, where to remember, what to write.

    Attributes:
        bootstrap: resampled sets of test pictures behind the intervals; 1000 unless given.
        seed: of the resampling and of everything else that is drawn; 0 unless given.
        cache: folder that keeps vectors, which are made once for each content and model; `auto` is $CHIASM_CACHE, or
            chiasm in the cache folder of the person.
        csv: write the table to this file as comma-separated values.
        html: write a report to this file, which needs nothing else.
        pages: writes the report.
    """

    bootstrap: int
    seed: int
    cache: VectorStore | None
    csv: Path | None
    html: Path | None
    pages: Pages | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of one call.

    Raises:
        InputError: there is no bootstrap draw, a file has the wrong suffix, or a report is asked for and nobody writes
            it.
    """

    bootstrap: int = 1000
    seed: int = 0
    cache: VectorStore | None = None
    csv: Path | None = None
    html: Path | None = None
    pages: Pages | None = None

    def __post_init__(self) -> None:
        check_draws(self.bootstrap)
        for path, suffix in ((self.csv, ".csv"), (self.html, ".html")):
            if path is not None and path.suffix != suffix:
                raise InputError(f"a file that ends in {suffix}", f"{path} came", "change its name")
        if self.html is not None and self.pages is None:
            raise InputError("somebody who writes the report", "nobody came", "pass pages too")

    def remembered(self, model: Encoder) -> Encoder:
        """The model with the memory of the cache."""
        return model if self.cache is None else Remembered(model, self.cache)

    def finished(
        self, evaluation: Evaluation[ResultT], page: Callable[[Pages], Callable[[Path, Evaluation], None]]
    ) -> Evaluation[ResultT]:
        """Write the files that were asked for; the evaluation with their names.

        Args:
            evaluation: what was found.
            page: which kind of page fits it.

        Raises:
            InputError: a place cannot be written.
        """
        if self.csv is not None:
            write_csv(self.csv, evaluation.table())
        if self.html is not None and self.pages is not None:
            page(self.pages)(self.html, evaluation)
        return evaluation.model_copy(update={"csv": self.csv, "html": self.html})


def check_draws(num_draws: int) -> None:
    """Refuse a bootstrap without draws before anything is computed.

    Raises:
        InputError: fewer than one draw.
    """
    if num_draws < 1:
        raise InputError("at least one bootstrap draw", f"{num_draws} came", "1000 is usual")
