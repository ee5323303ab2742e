"""Principal components of the patches of several pictures together, as colours: what is alike gets like colours.

Paper: Oquab et al., 2023, arXiv 2304.07193, figure 1 and section 7.5: the components of all patches of a set of
pictures, the first three as red, green and blue; patches on one side of 0 along the first component are taken away as
background, and the components of what is left are computed anew.
Differs: signs are arbitrary, so which side is the background is told by the edges of the pictures: more of them lie
there. Colours run from the 1st to the 99th percentile of each component, so that single patches far from all others do
not take the colours from the rest.

Numpy, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

CHANNELS = 3
_PERCENTILES = (1.0, 99.0)
_MIDDLE = 0.5
# Of the variance of the first component: what is below is rounding.
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Components:
    """Directions of the greatest variance.

    Attributes:
        mean: of all tokens.
        directions: of length 1 each, at right angles, the one with most variance first; the entry of each that is
            farthest from 0 is positive, so that equal tokens give equal signs everywhere.
        variances: of the tokens along each.
    """

    mean: Float[np.ndarray, " D"]
    directions: Float[np.ndarray, "K D"]
    variances: Float[np.ndarray, " K"]

    def scores(self, tokens: Float[np.ndarray, "... D"]) -> Float[np.ndarray, "... K"]:
        """How far each token lies along each direction, from the mean."""
        return (tokens.astype(np.float64) - self.mean) @ self.directions.T


def components(tokens: Float[np.ndarray, "N D"], num_components: int) -> Components:
    """The first principal components of tokens.

    Args:
        tokens: one row each, at least one.
        num_components: at most D.
    """
    mean = tokens.mean(axis=0, dtype=np.float64)
    centred = tokens.astype(np.float64) - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(tokens))
    first = directions[:, ::-1][:, :num_components].T
    farthest = np.take_along_axis(first, np.abs(first).argmax(axis=1)[:, None], axis=1)
    signs = np.where(farthest < 0, -1.0, 1.0)
    return Components(mean, first * signs, variances[::-1][:num_components].clip(min=0))


def component_colours(
    tokens: Float[np.ndarray, "B h w D"], kept: Bool[np.ndarray, "B h w"]
) -> Float[np.ndarray, "B h w 3"]:
    """The first three components of the patches that are kept, as red, green and blue from 0 to 1, one scale for all.

    Args:
        tokens: of the patches of all pictures.
        kept: which of them are looked at; the others are black.
    """
    colours = np.zeros((*kept.shape, CHANNELS))
    if kept.any():
        chosen = tokens[kept]
        colours[kept] = _even(components(chosen, min(CHANNELS, chosen.shape[1])), chosen)
    return colours


def foreground(tokens: Float[np.ndarray, "B h w D"]) -> Bool[np.ndarray, "B h w"]:
    """Patches on one side of the mean along the first component: the side that fewer of the pictures' edges lie on.

    All of them where the patches do not differ.
    """
    found = components(tokens.reshape(-1, tokens.shape[-1]), 1)
    if found.variances[0] <= _NOTHING * np.square(tokens, dtype=np.float64).sum(axis=-1).mean():
        return np.ones(tokens.shape[:-1], bool)
    above = found.scores(tokens)[..., 0] > 0
    edge = np.ones(above.shape[1:], bool)
    edge[1:-1, 1:-1] = False
    return above if above[:, edge].mean() <= above.mean() else ~above


def _even(found: Components, tokens: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N 3"]:
    """Scores from 0 to 1 between their percentiles; the middle where a component tells nothing apart."""
    colours = np.full((len(tokens), CHANNELS), _MIDDLE)
    scores = found.scores(tokens)
    low, high = np.percentile(scores, _PERCENTILES, axis=0)
    told = (found.variances > _NOTHING * found.variances[0]) & (high > low)
    colours[:, : len(told)][:, told] = ((scores - low)[:, told] / (high - low)[told]).clip(0, 1)
    return colours
