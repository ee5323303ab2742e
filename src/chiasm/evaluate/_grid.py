"""Every model on every data set; a pair that does not fit leaves a gap with its reason and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from chiasm.core.errors import ChiasmError, InputError
from chiasm.core.example import Splits
from chiasm.evaluate._answer import Evaluation, Missing, ResultT


@runtime_checkable
class Named(Protocol):
    """Whatever has a name by which a person calls it."""

    @property
    def name(self) -> str: ...


Model = TypeVar("Model", bound=Named)
Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Pair(Generic[ResultT]):
    """One place of the grid.

    Attributes:
        model, data: names.
        judge: the results, computed when it is called.
    """

    model: str
    data: str
    judge: Callable[[], Sequence[ResultT]]


def grid(
    kind: type[Evaluation[ResultT]],
    evaluation: str,
    models: Iterable[Model],
    data: Sequence[Data],
    name: Callable[[Data], str],
    judge: Callable[[Model, Data], Sequence[ResultT]],
) -> Evaluation[ResultT]:
    """Judge all models on all data sets.

    Args:
        kind: what holds the results.
        evaluation: its name.
        models: what is judged.
        data: what they are judged on.
        name: of a data set, for a pair that is missing.
        judge: results of one model on one data set.

    Raises:
        InputError: there is no model or no data.
        ChiasmError: no pair could be judged; this is what is wrong with the first one.
    """

    def pair(model: Model, one: Data) -> Pair[ResultT]:
        return Pair(model.name, name(one), lambda: judge(model, one))

    return gathered(kind, evaluation, (pair(model, one) for model in models for one in data))


def gathered(kind: type[Evaluation[ResultT]], evaluation: str, pairs: Iterable[Pair[ResultT]]) -> Evaluation[ResultT]:
    """Judge pairs one after the other.

    Args:
        kind: what holds the results.
        evaluation: its name.
        pairs: model and data set, and how to judge them.

    Raises:
        InputError: there is none.
        ChiasmError: none could be judged; this is what is wrong with the first one.
    """
    results: list[ResultT] = []
    missing: list[Missing] = []
    errors: list[ChiasmError] = []
    for pair in pairs:
        try:
            results += pair.judge()
        except ChiasmError as error:
            errors.append(error)
            missing.append(Missing(model=pair.model, data=pair.data, reason=str(error)))
    if errors and not results:
        raise errors[0]
    if not results:
        raise InputError("at least one model and one data set", "none came", "name one")
    return kind(evaluation=evaluation, results=tuple(results), missing=tuple(missing))


def name_of_test(data: Splits) -> str:
    """Name of the pictures that are judged."""
    return data.test.name
