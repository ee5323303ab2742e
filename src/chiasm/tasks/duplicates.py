"""Duplicates: groups of pictures that are the same, byte by byte or almost to the eye, and which one to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.predictors import Embeddings, Encoder, Record
from chiasm.data.processors import num_processors
from chiasm.ops.neighbours import groups_of_similar
from chiasm.tasks._places import check_several, check_suffix
from chiasm.tasks._table import ROW_WRITERS, write_rows
from chiasm.tasks._threshold import measure, share_above


class Duplicate(Record):
    """A picture of a group of near-duplicates.

    Attributes:
        group: number of the group, 1 for the largest.
        key: identity of the picture within the source.
        keep: True for the one picture of the group with the most pixels, of several the first.
        score: cosine with the picture to keep.
        copy_of: the first picture with exactly the same content, where this is another.
        width_px: its width.
        height_px: its height.
    """

    group: int
    key: str
    keep: bool
    score: float
    copy_of: str | None
    width_px: int
    height_px: int


class Duplicates(Record):
    """What `duplicates` found.

    Attributes:
        model: name of the model.
        data: name of the source.
        num_pictures: pictures that were compared.
        num_groups: groups of near-duplicates.
        num_surplus: pictures that would go if one of each group were kept.
        num_identical: those pictures among all groups that are exact copies of an earlier one.
        threshold: cosine from which two pictures were taken for the same.
        threshold_from: where it comes from: "given", or "measured" on altered copies of some of the pictures.
        found_altered: share of those altered copies (saved again at half the size, a little cut, brighter) that reach
            the threshold.
        alike_by_chance: share of random pairs of pictures that reach it, real duplicates among them included. Where
            that is more than there can be duplicates, the model does not tell these pictures apart well enough.
        duplicates: group by group, the picture to keep first; none when they were written to `out`.
        out: the table that they were written to.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    num_pictures: int
    num_groups: int
    num_surplus: int
    num_identical: int
    threshold: float
    threshold_from: Literal["given", "measured"]
    found_altered: float
    alike_by_chance: float
    duplicates: tuple[Duplicate, ...]
    out: Path | None
    skipped: dict[str, str]


def duplicates(
    model: Encoder, data: Source, threshold: float | None = None, seed: int = 0, out: Path | None = None
) -> Duplicates:
    """Find pictures that are there more than once: exact copies, and copies that were resized, cut or saved again.

    Every picture is compared with every other one, and pictures that can be reached from each other in steps of at
    least the threshold form a group. Nothing is removed.

    Args:
        model: the encoder.
        data: the pictures.
        threshold: cosine from which two pictures are taken for the same, -1 to 1. Without it some of the pictures are
            altered as copies usually are, and the threshold is the highest at which 95 % of those are found.
        seed: draws the pictures that the threshold is measured on.
        out: write the groups to this .csv or .parquet file instead of returning them.

    Raises:
        InputError: there are fewer than two pictures to compare, or the threshold is out of range.
        BrokenPictureError: a picture could be embedded, but not be read at full size.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if threshold is not None and not -1 <= threshold <= 1:
        raise InputError("a threshold from -1 to 1", f"{threshold} came", "0.95 is strict for most models")
    if out is not None:
        check_suffix(out, tuple(ROW_WRITERS))
    found = model.embed(data)
    check_several(len(found.keys), data)
    likeness = measure(model, data, found, seed)
    limit = likeness.threshold() if threshold is None else threshold
    groups = _groups(groups_of_similar(found.vectors, limit))
    members = _look(data, {found.keys[row] for group in groups for row in group})
    rows = [one for number, group in enumerate(groups, start=1) for one in _told(number, group, found, members)]
    if out is not None:
        write_rows(out, {name: [getattr(one, name) for one in rows] for name in Duplicate.model_fields})
    return Duplicates(
        model=model.name,
        data=data.name,
        num_pictures=len(found.keys),
        num_groups=len(groups),
        num_surplus=len(rows) - len(groups),
        num_identical=sum(one.copy_of is not None for one in rows),
        threshold=limit,
        threshold_from="measured" if threshold is None else "given",
        found_altered=share_above(likeness.altered, limit),
        alike_by_chance=share_above(likeness.chance, limit),
        duplicates=() if out else tuple(rows),
        out=out,
        skipped=dict(found.skipped),
    )


@dataclass(frozen=True, slots=True)
class _Member:
    """What is known of one picture of a group."""

    digest: str
    width_px: int
    height_px: int


def _groups(first: Int[np.ndarray, " B"]) -> list[list[int]]:
    """Rows of each group of at least two, from the first row of each row's group; the largest group first."""
    order = np.argsort(first, kind="stable")
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    groups = [group.tolist() for group in np.split(order, starts[1:]) if len(group) > 1]
    return sorted(groups, key=lambda group: -len(group))


def _look(data: Source, keys: set[str]) -> dict[str, _Member]:
    """Digest and size of some pictures; each content is decoded once, at full size.

    Raises:
        BrokenPictureError: a picture that could be embedded cannot be read any more.
    """
    positions = {data.key(position): position for position in range(len(data)) if data.key(position) in keys}
    with ThreadPoolExecutor(num_processors()) as pool:
        digests = dict(zip(positions, pool.map(data.digest, positions.values()), strict=True))
        one_each = {digest: positions[key] for key, digest in digests.items()}
        shapes = pool.map(lambda position: data.read(position).picture.shape, one_each.values())
        sizes = dict(zip(one_each, shapes, strict=True))
    return {key: _Member(digest, sizes[digest][1], sizes[digest][0]) for key, digest in digests.items()}


def _told(number: int, group: Sequence[int], found: Embeddings, members: Mapping[str, _Member]) -> Iterator[Duplicate]:
    """The pictures of a group, the one to keep first and then those most like it."""
    keys = [found.keys[row] for row in group]
    pixels = [members[key].width_px * members[key].height_px for key in keys]
    kept = int(np.argmax(pixels))
    # To the digits that float32 holds, so that equal pictures are in the order of the source.
    scores = np.clip(found.vectors[group] @ found.vectors[group[kept]], -1, 1).astype(np.float64).round(6)
    scores[kept] = 1
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(members[key].digest, key)
    others = [place for place in np.argsort(-scores, kind="stable").tolist() if place != kept]
    for place in [kept, *others]:
        key, member = keys[place], members[keys[place]]
        original = first[member.digest]
        yield Duplicate(
            group=number,
            key=key,
            keep=place == kept,
            score=float(scores[place]),
            copy_of=None if original == key else original,
            width_px=member.width_px,
            height_px=member.height_px,
        )
