"""Texts that begin alike: groups that save the most tokens, and nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.ops.beginnings import shared_beginnings


def texts(*rows: list[int], width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.zeros((len(rows), width), np.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
    return tokens, np.array([len(row) for row in rows])


def computed(tokens: np.ndarray, lengths: np.ndarray, least: int) -> int:
    """Tokens that remain to be computed; checks that groups are what they say."""
    total, seen = 0, []
    for group in shared_beginnings(tokens, lengths, least):
        seen += group.rows.tolist()
        own = tokens[group.rows]
        assert (own[:, : group.num_shared] == own[0, : group.num_shared]).all()
        assert group.num_shared < lengths[group.rows].min()
        total += group.num_shared + int((lengths[group.rows] - group.num_shared).sum())
    assert sorted(seen) == list(range(len(tokens)))
    return total


def test_sentences_about_classes_share_their_beginnings() -> None:
    rows = [[9, 1, 2, 3, name, 8] for name in range(20, 30)] + [[9, 1, 5, name, 8] for name in range(20, 30)]
    found = shared_beginnings(*texts(*rows), least=4)
    assert {(len(group.rows), group.num_shared) for group in found} == {(10, 4), (10, 3)}
    assert computed(*texts(*rows), least=4) == 4 + 10 * 2 + 3 + 10 * 2


def test_few_texts_are_not_worth_a_group() -> None:
    rows = [[9, 1, name, 8] for name in range(20, 23)]
    (found,) = shared_beginnings(*texts(*rows), least=4)
    assert (len(found.rows), found.num_shared) == (3, 0)


def test_equal_texts_keep_a_token_of_their_own() -> None:
    (found,) = shared_beginnings(*texts(*[[9, 1, 2, 8]] * 6), least=2)
    assert found.num_shared == 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("least", [2, 4])
def test_no_beginning_of_one_length_saves_more(seed: int, least: int) -> None:
    generator = np.random.default_rng(seed)
    rows = [[9, *generator.integers(1, 3, generator.integers(1, 6)).tolist(), 8] for _ in range(40)]
    tokens, lengths = texts(*rows)
    for num_shared in range(1, 7):
        groups: dict[tuple[int, ...], int] = {}
        for row in rows:
            if len(row) > num_shared:
                groups[tuple(row[:num_shared])] = groups.get(tuple(row[:num_shared]), 0) + 1
        saved = sum((size - 1) * num_shared for size in groups.values() if size >= least)
        assert computed(tokens, lengths, least) <= lengths.sum() - saved
