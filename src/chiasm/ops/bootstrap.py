"""Percentile bootstrap over pictures: how far a figure (an accuracy, a difference of two) can be trusted.

Paper: Efron, 1979, "Bootstrap Methods: Another Look at the Jackknife"; the percentile interval as in Efron and
    Tibshirani, 1993, "An Introduction to the Bootstrap", section 13.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int, Shaped

from chiasm.core.estimates import Estimate
from chiasm.core.seeds import stream

# Numbers drawn at once: 4 million indices of 8 bytes are 32 MB.
_DRAWN_AT_ONCE = 4_000_000


def bootstrap_mean(values: Shaped[np.ndarray, " B"], num_draws: int, seed: int) -> Estimate:
    """Mean of one number per picture, with its 95 % interval over resampled sets of pictures.

    For an accuracy the numbers are 1 (right) and 0 (wrong). For two models on the same pictures give the difference of
    their numbers, picture by picture: the pairing takes out what is hard for both, and the interval is narrower than
    that of two separate accuracies would suggest.

    Args:
        values: bool or number per picture; at least one.
        num_draws: resampled sets, at least 1; 1,000 are enough for two digits.
        seed: same seed, same interval.

    Raises:
        ValueError: there are no values or num_draws is below 1.
    """
    if len(values) == 0 or num_draws < 1:
        raise ValueError(f"a bootstrap needs values and draws, but has {len(values)} values and {num_draws} draws")
    numbers = values.astype(np.float64)
    low, high = np.quantile(_resampled_means(numbers, num_draws, seed), (0.025, 0.975))
    return Estimate(value=float(numbers.mean()), low=float(low), high=float(high))


def bootstrap_means(values: Shaped[np.ndarray, "B _"], num_draws: int, seed: int) -> tuple[Estimate, ...]:
    """`bootstrap_mean` of each column; all columns are taken over the same resampled sets of pictures.

    Args:
        values: a row for each picture; at least one.
        num_draws: resampled sets, at least 1.
        seed: same seed, same intervals.

    Raises:
        ValueError: there are no values or num_draws is below 1.
    """
    if len(values) == 0 or num_draws < 1:
        raise ValueError(f"a bootstrap needs values and draws, but has {len(values)} values and {num_draws} draws")
    numbers = values.astype(np.float64)
    means = _resampled(numbers, num_draws, seed, lambda drawn: drawn.mean(axis=1))
    columns = zip(numbers.mean(axis=0).tolist(), *np.quantile(means, (0.025, 0.975), axis=0).tolist(), strict=True)
    return tuple(Estimate(value=value, low=low, high=high) for value, low, high in columns)


def bootstrap_of_sums(
    values: Shaped[np.ndarray, "B _"],
    statistic: Callable[[Float[np.ndarray, "S _"]], Float[np.ndarray, " S"]],
    num_draws: int,
    seed: int,
) -> Estimate:
    """A figure that follows from sums over pictures, with its 95 % interval over resampled sets of pictures.

    A share of questions that are several a picture is the sum of right ones over the sum of all; so is BLEU made of
    sums. What belongs to one picture is drawn together.

    Args:
        values: a row for each picture; at least one.
        statistic: the figure, for each row of sums.
        num_draws: resampled sets, at least 1.
        seed: same seed, same interval.

    Raises:
        ValueError: there are no values or num_draws is below 1.
    """
    if len(values) == 0 or num_draws < 1:
        raise ValueError(f"a bootstrap needs values and draws, but has {len(values)} values and {num_draws} draws")
    numbers = values.astype(np.float64)
    figures = statistic(_resampled(numbers, num_draws, seed, lambda drawn: drawn.sum(axis=1)))
    low, high = np.quantile(figures, (0.025, 0.975))
    whole = statistic(numbers.sum(axis=0, keepdims=True))
    return Estimate(value=float(whole[0]), low=float(low), high=float(high))


def bootstrap_of(
    statistic: Callable[[Float[np.ndarray, "S B"]], Float[np.ndarray, " S"]],
    num_pictures: int,
    num_draws: int,
    seed: int,
) -> Estimate:
    """A figure that is no mean over pictures (an F1, a mean over classes), with its 95 % interval.

    The resampled sets are those of `bootstrap_mean` with the same seed.

    Args:
        statistic: from how often each picture counts (one row for each set) to the figure of each set.
        num_pictures: pictures at hand; at least one.
        num_draws: resampled sets, at least 1.
        seed: same seed, same interval.

    Raises:
        ValueError: there are no pictures or num_draws is below 1.
    """
    if num_pictures < 1 or num_draws < 1:
        raise ValueError(f"a bootstrap needs values and draws, but has {num_pictures} values and {num_draws} draws")
    at_once = max(1, _DRAWN_AT_ONCE // num_pictures)
    draws = _draws(num_pictures, num_draws, seed, at_once)
    resampled = [statistic(_counts(drawn, num_pictures)) for drawn in draws]
    low, high = np.quantile(np.concatenate(resampled), (0.025, 0.975))
    value = statistic(np.ones((1, num_pictures)))
    return Estimate(value=float(value[0]), low=float(low), high=float(high))


def _resampled_means(values: Float[np.ndarray, " B"], num_draws: int, seed: int) -> Float[np.ndarray, " S"]:
    """Means of `num_draws` sets drawn with replacement, each as long as `values`."""
    return _resampled(values, num_draws, seed, lambda drawn: drawn.mean(axis=1))


def _resampled(
    values: Float[np.ndarray, "B ..."],
    num_draws: int,
    seed: int,
    summed: Callable[[Float[np.ndarray, "S B ..."]], Float[np.ndarray, "S ..."]],
) -> Float[np.ndarray, "S ..."]:
    """What becomes of `num_draws` sets drawn with replacement, each as long as `values`; some of them at a time."""
    at_once = max(1, _DRAWN_AT_ONCE // values.size)
    return np.concatenate([summed(values[drawn]) for drawn in _draws(len(values), num_draws, seed, at_once)])


def _draws(num_pictures: int, num_draws: int, seed: int, at_once: int) -> Iterator[Int[np.ndarray, "S B"]]:
    """Places of the pictures in each resampled set, some sets at a time."""
    generator = stream(seed, "bootstrap")
    for done in range(0, num_draws, at_once):
        yield generator.integers(num_pictures, size=(min(at_once, num_draws - done), num_pictures))


def _counts(drawn: Int[np.ndarray, "S B"], num_pictures: int) -> Float[np.ndarray, "S B"]:
    """How often each picture is in each resampled set."""
    places = drawn + num_pictures * np.arange(len(drawn))[:, None]
    counts = np.bincount(places.ravel(), minlength=len(drawn) * num_pictures)
    return counts.reshape(len(drawn), num_pictures).astype(np.float64)
