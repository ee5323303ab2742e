"""Runs of words: what captions are compared by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

LONGEST = 4
"""Words in the longest run; BLEU and CIDEr were both published with four."""

NGram = tuple[str, ...]


def ngrams(words: Sequence[str], length: int) -> Counter[NGram]:
    """How often each run of `length` words occurs."""
    return Counter(tuple(words[start : start + length]) for start in range(len(words) - length + 1))


def up_to_longest(words: Sequence[str]) -> tuple[Counter[NGram], ...]:
    """The same for runs of 1, 2 ... `LONGEST` words."""
    return tuple(ngrams(words, length) for length in range(1, LONGEST + 1))
