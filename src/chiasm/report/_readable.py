"""Evaluations as a page shows them: models on the same data beside each other, under names without what all share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from chiasm.evaluate import Evaluation, Result
from chiasm.evaluate.compare import Contest

ResultT = TypeVar("ResultT", bound=Result)
_PART = re.compile(r"[/?&]?[^/?&]*")


def readable(evaluation: Evaluation) -> tuple[Evaluation, list[tuple[str, str]]]:
    """An evaluation in the order of its data sets, then of models, under short names.

    Returns:
        the evaluation; and the names that were shortened, each with the whole name.
    """
    everywhere = (*evaluation.results, *evaluation.missing)
    models = [one.model for one in everywhere]
    models += [one.baseline for one in evaluation.results if isinstance(one, Contest)]
    labels = {**short([one.data for one in everywhere]), **short(models)}
    results = [one for _, own in by_data(evaluation.results) for one in own]
    renamed = {
        "results": tuple(_renamed(one, labels) for one in results),
        "missing": tuple(_renamed(one, labels) for one in evaluation.missing),
    }
    return evaluation.model_copy(update=renamed), [(label, name) for name, label in labels.items() if label != name]


def by_data(results: Iterable[ResultT]) -> list[tuple[str, list[ResultT]]]:
    """Results on each data set, in their order."""
    found: dict[str, list[ResultT]] = {}
    for one in results:
        found.setdefault(one.data, []).append(one)
    return list(found.items())


def short(names: Sequence[str]) -> dict[str, str]:
    """A label for each name: its folders, options and the like that not all of the names have.

    A name with nothing of its own is called by its last part before any options. Where labels were no longer all
    different, or there is one name alone, names stay as they are.
    """
    parts = {name: [part for part in _PART.findall(name) if part] for name in names}
    shared = set.intersection(*({_bare(part) for part in own} for own in parts.values()))
    labels = {}
    for name, own in parts.items():
        left = "".join(part for part in own if _bare(part) not in shared)
        labels[name] = _bare(left) or name.partition("?")[0].rstrip("/").rpartition("/")[2]
    if len(parts) == 1 or len(set(labels.values())) < len(parts):
        return {name: name for name in names}
    return labels


def _bare(part: str) -> str:
    """A part without the sign before it."""
    return part.lstrip("/?&")


def _renamed(one: Any, labels: dict[str, str]) -> Any:
    """A record in which whole names, wherever they stand, are replaced by labels."""
    values = {field: getattr(one, field) for field in type(one).model_fields}
    return one.model_copy(
        update={field: labels[value] for field, value in values.items() if isinstance(value, str) and value in labels}
    )
