"""Colours: readable on both papers, apart for colour-blind eyes.

Oracle: sight of colour-blind readers after Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation
of Color Vision Deficiency", 2009, table 1 (severity 1.0); distance in Ottosson's OKLab.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from chiasm.report import palette

SIGHTS = {
    "full": np.eye(3),
    "red-blind": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "green-blind": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "blue-blind": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def _linear(hexadecimal: str) -> np.ndarray:
    share = np.array(palette.channels(hexadecimal)) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _oklab(linear: np.ndarray) -> np.ndarray:
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lab @ np.cbrt(to_cones @ np.clip(linear, 0, 1))


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((float(_linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sight", sorted(SIGHTS))
def test_any_two_series_can_be_told_apart(scheme: str, sight: str) -> None:
    seen = [_oklab(SIGHTS[sight] @ _linear(getattr(colour, scheme))) for colour in palette.SERIES]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 0.08


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_against_paper(scheme: str) -> None:
    paper = getattr(palette.PAPER, scheme)
    surface = getattr(palette.SURFACE, scheme)
    for text in (palette.INK, palette.SOFT, palette.ACCENT):
        assert _contrast(getattr(text, scheme), paper) >= 4.5
        assert _contrast(getattr(text, scheme), surface) >= 4.5
    for drawn in (*palette.SERIES, palette.RIGHT, palette.WRONG, palette.MUTED):
        assert _contrast(getattr(drawn, scheme), paper) >= 3


def test_light_forms_are_unique_since_plots_are_recoloured_by_them() -> None:
    assert len({colour.light for colour in palette.ALL}) == len(palette.ALL)
    assert len({colour.name for colour in palette.ALL}) == len(palette.ALL)


def test_tints_for_masks_are_as_many_as_asked_and_distinct() -> None:
    assert palette.distinct(0) == ()
    tints = palette.distinct(60)
    assert len(set(tints)) == 60
    assert tints[:8] == palette.distinct(8)
    assert palette.channels(palette.hexadecimal((1, 128, 255))) == (1, 128, 255)
