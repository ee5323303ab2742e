"""Sine-cosine tables, resampling and rotary angles against formulas written out."""

from __future__ import annotations

import math

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.ops.positions import patch_centres, resample_table, rotary_angles, rotate, sincos_table


def cubic(distance: float) -> float:
    """Keys' kernel with a = -0.75, as in the usual bicubic interpolation."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def weights(source: int, target: int, offset: float) -> torch.Tensor:
    """Contribution of each source position to each target position, edges repeated."""
    matrix = torch.zeros(target, source, dtype=torch.float64)
    for index in range(target):
        centre = (index + 0.5) * source / (target + offset) - 0.5
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            matrix[index, min(max(tap, 0), source - 1)] += cubic(centre - tap)
    return matrix


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("target", [(5, 3), (4, 8), (2, 2)])
def test_bicubic_resampling_is_the_formula(offset, target):
    table = torch.randn(1, 12, 2, dtype=torch.float64)
    image = table.view(3, 4, 2)
    expected = torch.einsum(
        "yr,xc,rcd->yxd", weights(3, target[0], offset), weights(4, target[1], offset), image
    ).reshape(1, -1, 2)
    torch.testing.assert_close(resample_table(table, (3, 4), target, offset=offset), expected, rtol=0, atol=1e-12)


def test_antialiasing_averages_when_the_grid_shrinks():
    """Alternate rows of +1 and -1 vanish in the mean, and survive when single points are taken."""
    stripes = torch.tensor([1.0, -1.0]).repeat_interleave(8).repeat(4).view(1, 64, 1)
    plain = resample_table(stripes, (8, 8), (3, 8))
    smooth = resample_table(stripes, (8, 8), (3, 8), antialias=True)
    assert smooth.abs().max() < 0.3 < plain.abs().max()


def test_half_precision_is_resampled_in_float32():
    table = torch.randn(1, 16, 4, dtype=torch.bfloat16)
    resampled = resample_table(table, (4, 4), (7, 7))
    assert resampled.dtype == torch.bfloat16
    torch.testing.assert_close(resampled, resample_table(table.float(), (4, 4), (7, 7)).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("column_first", [True, False])
def test_sincos_is_the_formula(column_first):
    table = sincos_table((2, 3), 8, temperature=100.0, column_first=column_first)
    for row in range(2):
        for column in range(3):
            axes = (column, row) if column_first else (row, column)
            expected = [wave(axis / 100 ** (k / 2)) for axis in axes for wave in (math.sin, math.cos) for k in (0, 1)]
            torch.testing.assert_close(table[3 * row + column], torch.tensor(expected))


def test_sincos_needs_a_multiple_of_four():
    with pytest.raises(InputError, match="multiple of 4"):
        sincos_table((2, 2), 6)


def test_centres_span_minus_one_to_one():
    centres = patch_centres((2, 4), torch.float64, torch.device("cpu"))
    assert centres[:, 0].tolist() == [-0.5] * 4 + [0.5] * 4
    assert centres[:4, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]


def test_rotary_angles_are_the_formula():
    centres = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    expected = [2 * math.pi * axis / 100 ** (k / 2) for axis in (0.3, -0.7) for k in (0, 1)]
    torch.testing.assert_close(rotary_angles(centres, 8, 100.0)[0], torch.tensor(expected, dtype=torch.float64))


def test_rotation_keeps_lengths_and_products_depend_on_the_difference_only():
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64).unbind(0)

    def product(here: float, there: float) -> torch.Tensor:
        turned = []
        for tokens, place in ((query, here), (key, there)):
            angles = rotary_angles(torch.tensor([[place, -2 * place]], dtype=torch.float64), 8, 100.0).repeat(1, 2)
            turned.append(rotate(tokens, angles.cos()[None, None], angles.sin()[None, None]))
        torch.testing.assert_close(turned[0].norm(), query.norm())
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(0.1, 0.4), product(0.5, 0.8))
    assert (product(0.1, 0.4) - product(0.1, 0.5)).abs() > 1e-3
