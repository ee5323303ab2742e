"""How right an answer is where several people were asked: the accuracy of visual question answering.

Paper: Antol et al., 2015, "VQA: Visual Question Answering" (arXiv 1505.00468), section 3: an answer that three people
    gave is right, min(number / 3, 1), averaged over all ways to leave one of them out.
Differs: with fewer than four people no answer could be right, so it takes as many as are left when one is left out;
    with one person it takes that one.
"""

from __future__ import annotations

from collections.abc import Sequence

ENOUGH = 3
"""People who have to agree with an answer."""


def soft_accuracy(answer: str, given: Sequence[str]) -> float:
    """How right an answer is, 0 to 1, by answers that people gave; all are in the form of `plain_answer`.

    Args:
        answer: to be judged.
        given: one for each person, at least one.

    Raises:
        ValueError: nobody gave one.
    """
    if not given:
        raise ValueError("an answer is judged by those of people, but there are none")
    same, others = sum(one == answer for one in given), len(given) - 1
    if others == 0:
        return float(same)
    enough = min(ENOUGH, others)
    # Leaving out one who agrees leaves one less.
    left = same * min((same - 1) / enough, 1) + (len(given) - same) * min(same / enough, 1)
    return left / len(given)
