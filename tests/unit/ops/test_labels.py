"""Labels of two sets under one numbering, and draws within classes."""

from __future__ import annotations

import numpy as np

from chiasm.core.seeds import stream
from chiasm.ops.labels import match_names, rank_in_class, relabel


def test_a_missing_class_does_not_shift_the_others() -> None:
    # The second folder has no "bee", so its "cat" is number 1 there and number 2 here.
    moved = relabel(np.array([0, 1, 1, -1]), names=("ant", "cat"), onto=("ant", "bee", "cat"))
    assert moved.tolist() == [0, 2, 2, -1]


def test_names_that_are_unknown_become_unlabelled() -> None:
    assert relabel(np.array([0, 1]), ("ant", "yak"), ("ant",)).tolist() == [0, -1]


def test_no_names_at_all() -> None:
    assert relabel(np.array([-1, -1]), (), ("ant",)).tolist() == [-1, -1]


def test_ranks_count_within_each_class() -> None:
    labels = np.array([2, 0, 2, 2, 0, 5])
    ranks = rank_in_class(labels, stream(0, "test"))
    for label in (0, 2, 5):
        assert sorted(ranks[labels == label]) == list(range((labels == label).sum()))


def test_ranks_depend_on_the_generator_alone() -> None:
    labels = np.zeros(50, dtype=np.int64)
    first, again, other = (rank_in_class(labels, stream(seed, "test")) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_names_are_matched_by_meaning_and_never_when_in_doubt() -> None:
    onto = ("tench, Tinca tinca", "polar bear", "crane", "crane, bird", "maillot, suit", "maillot, tank suit", "Red")
    names = ("Tench", "tinca_tinca", "Polar_Bear", "crane", "CRANE", "maillot", "red", "yak")
    assert match_names(names, onto) == (
        "tench, Tinca tinca",
        "tench, Tinca tinca",
        "polar bear",
        "crane",
        "crane",
        "maillot",
        "Red",
        "yak",
    )
