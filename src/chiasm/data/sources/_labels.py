"""From label texts, as tables and shards hold them, to class names and indices."""

from __future__ import annotations

from collections.abc import Sequence

from chiasm.core.errors import InputError


def index_labels(
    values: Sequence[str | None], where: str, names: Sequence[str] = ()
) -> tuple[tuple[str, ...], list[int | None]]:
    """Class names and, for each value, the index of its class; None stays None.

    Args:
        values: label texts.
        where: what they belong to, for the error.
        names: class names that integer labels point into, where a list of them is known. Without it the classes are
            the distinct values, sorted as numbers if all of them are whole numbers, else as text.

    Raises:
        InputError: `names` is given and a label is neither one of them nor an index into them.
    """
    distinct = {value for value in values if value is not None}
    if names:
        place = {name: index for index, name in enumerate(names)}
        for value in distinct - place.keys():
            if not (value.isdecimal() and int(value) < len(names)):
                raise InputError(
                    f"labels of {where} that point into its {len(names)} class names",
                    f"{value!r} came",
                    "correct either",
                )
            place[value] = int(value)
        return tuple(names), [None if value is None else place[value] for value in values]
    numeric = all(value.removeprefix("-").isdecimal() for value in distinct)
    classes = sorted(distinct, key=int) if numeric else sorted(distinct)
    place = {name: index for index, name in enumerate(classes)}
    return tuple(classes), [None if value is None else place[value] for value in values]
