"""Training and test parts: drawn from one source, or brought to one list of classes when they come as two."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace

from chiasm.core.errors import InputError
from chiasm.core.example import Example, Source, Subset
from chiasm.core.seeds import stream

TEST_SHARE = 0.2

_DERIVED = re.compile(r"(?P<spec>.+)[?&]derived=(?P<part>train|test)&seed=(?P<seed>\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DerivedPart:
    """What the name of a drawn part says: of which source, and drawn with which seed."""

    spec: str
    is_test: bool
    seed: int


def derived_part(name: str) -> DerivedPart | None:
    """Take the name of a drawn part apart; None where it is another name."""
    match = _DERIVED.fullmatch(name)
    return DerivedPart(match["spec"], match["part"] == "test", int(match["seed"])) if match else None


def derive(source: Source, seed: int) -> tuple[Source, Source]:
    """Draw one fifth of each class for testing, the rest for training; both keep the source's order.

    A class of two pictures or more is in both parts; the only picture of a class is for training. Pictures without a
    class are drawn as if they were one.

    Raises:
        InputError: no class has two pictures.
    """
    groups: dict[int | None, list[int]] = defaultdict(list)
    for index in range(len(source)):
        groups[source.label(index)].append(index)
    test: list[int] = []
    for label, members in groups.items():
        if len(members) > 1:
            what = "none" if label is None else source.classes[label]
            order = stream(seed, "split", what).permutation(len(members))
            num_test = min(max(round(TEST_SHARE * len(members)), 1), len(members) - 1)
            test += [members[place] for place in order[:num_test]]
    if not test:
        raise InputError(
            "at least two pictures of some class to draw a test set from",
            f"{source.name} has {len(source)} in {len(groups)} classes",
            "add pictures or give a source with a test split",
        )
    held_out = frozenset(test)
    train = [index for index in range(len(source)) if index not in held_out]
    prefix = f"{source.name}{'&' if '?' in source.name else '?'}derived="
    return (
        Subset(source, train, f"{prefix}train&seed={seed}"),
        Subset(source, sorted(test), f"{prefix}test&seed={seed}"),
    )


def align(train: Source, test: Source) -> tuple[Source, Source]:
    """Bring two sources to one list of classes: those of the training source, then those that only the test source has.

    Sources that already agree are returned as they are.
    """
    if train.classes == test.classes:
        return train, test
    classes = tuple(dict.fromkeys((*train.classes, *test.classes)))
    return _Reclassed(train, classes), _Reclassed(test, classes)


class _Reclassed:
    """A source whose labels point into another list of classes, which holds all of its own."""

    def __init__(self, source: Source, classes: tuple[str, ...]) -> None:
        self._source = source
        self._classes = classes
        place = {name: index for index, name in enumerate(classes)}
        self._places = [place[name] for name in source.classes]

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    def __len__(self) -> int:
        return len(self._source)

    def key(self, index: int) -> str:
        return self._source.key(index)

    def label(self, index: int) -> int | None:
        label = self._source.label(index)
        return None if label is None else self._places[label]

    def digest(self, index: int) -> str:
        return self._source.digest(index)

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        example = self._source.read(index, min_side_px)
        return replace(example, label=self.label(index))
