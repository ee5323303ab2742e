"""Every operation and each of its parameters is distributed as the papers have it: against plain references."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from chiasm.core.seeds import stream
from chiasm.core.views import Blur, ColourJitter, ViewSpec
from chiasm.data.augment.sample import ViewDraws, sample

NUM = 6000
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
LOWEST_P = 1e-3
"""Seeds are fixed: a test either always passes or never."""


def drawn(spec: ViewSpec, seed: int = 0) -> ViewDraws:
    return sample(spec, NUM, stream(seed, "distributions"))


def p_of(result: Any) -> float:
    return float(result.pvalue)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference between the shares of two samples below any value."""
    result: Any = stats.ks_2samp(one, other)
    return float(result.statistic)


def p_of_share(chosen: np.ndarray, share: float) -> float:
    return p_of(stats.binomtest(int(chosen.sum()), len(chosen), share))


def slow_crops(spec: ViewSpec, height: int, width: int) -> np.ndarray:
    """The published procedure, picture by picture, ten tries and a fallback: left, top, width, height."""
    generator = stream(1, "slow")
    found = []
    for _ in range(NUM):
        for _ in range(10):
            area = height * width * generator.uniform(spec.min_area, spec.max_area)
            aspect = math.exp(generator.uniform(math.log(spec.min_aspect), math.log(spec.max_aspect)))
            wide, tall = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < wide <= width and 0 < tall <= height:
                found.append((generator.integers(width - wide + 1), generator.integers(height - tall + 1), wide, tall))
                break
        else:
            wide = min(width, round(height * spec.max_aspect))
            tall = min(height, round(width / spec.min_aspect))
            found.append(((width - wide) // 2, (height - tall) // 2, wide, tall))
    return np.array(found)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (600, 300), (256, 256)])
@pytest.mark.parametrize(("low", "high"), [(0.4, 1.0), (0.05, 0.4), (0.08, 1.0)])
def test_crops_are_as_published(height: int, width: int, low: float, high: float) -> None:
    spec = ViewSpec(size_px=96, min_area=low, max_area=high)
    draws = drawn(spec)
    crops = [draws.crop(row, height, width) for row in range(NUM)]
    ours = np.array([(crop.left_px, crop.top_px, crop.width_px, crop.height_px) for crop in crops])
    slow = slow_crops(spec, height, width)
    for name, of in {
        "left": lambda boxes: boxes[:, 0],
        "top": lambda boxes: boxes[:, 1],
        "width": lambda boxes: boxes[:, 2],
        "height": lambda boxes: boxes[:, 3],
        "area": lambda boxes: boxes[:, 2] * boxes[:, 3],
        "aspect": lambda boxes: boxes[:, 2] / boxes[:, 3],
        "right": lambda boxes: boxes[:, 0] + boxes[:, 2],
        "lower right": lambda boxes: boxes[:, 0] + boxes[:, 2] + boxes[:, 1] + boxes[:, 3],
        "room to the left": lambda boxes: boxes[:, 0] / (width - boxes[:, 2] + 1),
        "room above": lambda boxes: boxes[:, 1] / (height - boxes[:, 3] + 1),
    }.items():
        assert p_of(stats.ks_2samp(of(ours), of(slow))) > LOWEST_P, name


def test_flips_greys_and_solarised_views_have_their_shares() -> None:
    spec = ViewSpec(size_px=32, flip=0.5, grey=0.2, solarise=0.2)
    draws = drawn(spec)
    greys = abs(np.linalg.det(draws.colours.mixes)) < 1e-9
    assert p_of_share(draws.flips, 0.5) > LOWEST_P
    assert p_of_share(greys, 0.2) > LOWEST_P
    assert p_of_share(draws.solarises, 0.2) > LOWEST_P
    # A view without jitter keeps its colours or is grey.
    assert p_of_share(draws.recolours, 1 - 0.2 * 0.8) > LOWEST_P
    for one, other in ((draws.flips, greys), (greys, draws.solarises), (draws.flips, draws.solarises)):
        table = [[np.sum((one == a) & (other == b)) for b in (False, True)] for a in (False, True)]
        assert p_of(stats.chi2_contingency(table)) > LOWEST_P


def factors(draws: ViewDraws) -> dict[str, np.ndarray]:
    """Brightness, contrast, saturation and hue of each view, taken out of its affine map."""
    gains = draws.colours.mixes.sum(axis=2).mean(axis=1)
    means = draws.colours.mean_mixes.sum(axis=2).mean(axis=1)
    chroma = (TO_YIQ @ draws.colours.mixes @ np.linalg.inv(TO_YIQ))[:, 1:, 1:]
    brightness = gains + means
    return {
        "brightness": brightness,
        "contrast": gains / brightness,
        "saturation": np.sqrt(np.linalg.det(chroma)) / gains,
        "hue": np.arctan2(chroma[:, 0, 1] - chroma[:, 1, 0], chroma[:, 0, 0] + chroma[:, 1, 1]) / (2 * np.pi),
    }


@pytest.mark.parametrize(
    "jitter",
    [
        ColourJitter(probability=1, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1),
        ColourJitter(probability=1, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2),
        ColourJitter(probability=1, brightness=0.2, contrast=0.5, saturation=1.5, hue=0.45),
    ],
)
def test_jitter_draws_uniform_factors_and_hues(jitter: ColourJitter) -> None:
    found = factors(drawn(ViewSpec(size_px=32, jitter=jitter, grey=0)))
    for name in ("brightness", "contrast", "saturation"):
        strength = getattr(jitter, name)
        low, high = max(0.0, 1 - strength), 1 + strength
        assert p_of(stats.kstest(found[name], stats.uniform(low, high - low).cdf)) > LOWEST_P, name
    assert p_of(stats.kstest(found["hue"], stats.uniform(-jitter.hue, 2 * jitter.hue).cdf)) > LOWEST_P
    names = list(found)
    for one, other in ((a, b) for place, a in enumerate(names) for b in names[place + 1 :]):
        assert p_of(stats.spearmanr(found[one], found[other])) > LOWEST_P, (one, other)


def test_jitter_comes_with_its_probability() -> None:
    jitter = ColourJitter(probability=0.8, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    draws = drawn(ViewSpec(size_px=32, jitter=jitter, grey=0))
    assert p_of_share(draws.recolours, 0.8) > LOWEST_P
    kept = factors(draws)["brightness"][~draws.recolours]
    np.testing.assert_allclose(kept, 1)


def spreads(taps: np.ndarray) -> np.ndarray:
    """Standard deviation in pixels of each row of weights."""
    offsets = np.arange(taps.shape[1]) - taps.shape[1] // 2
    return np.sqrt((taps * offsets**2).sum(axis=1))


def slow_spreads(sigmas: np.ndarray) -> np.ndarray:
    """Of Gaussians on whole pixels, cut off at three sigma and not rounded."""
    found = []
    for sigma in sigmas.tolist():
        radius = max(1, math.ceil(3 * sigma))
        weights = np.array([math.exp(-0.5 * (place / sigma) ** 2) for place in range(-radius, radius + 1)])
        found.append(float(spreads((weights / weights.sum())[None])[0]))
    return np.array(found)


@pytest.mark.parametrize(("size_px", "low", "high"), [(224, 0.1, 2.0), (96, 0.1 * 224 / 96, 2.0 * 224 / 96)])
def test_sigmas_of_blur_are_uniform_and_scale_with_the_view(size_px: int, low: float, high: float) -> None:
    # In either case 0.1 to 2 px of the view: sigma is given for 224 px and scales with the size.
    draws = drawn(ViewSpec(size_px=size_px, blur=Blur(probability=1, min_sigma_px=low, max_sigma_px=high)))
    sigmas = stream(2, "sigmas").uniform(0.1, 2.0, NUM)
    blurred = draws.blur_radii_px > 0
    # Below a quarter of a pixel nothing would change.
    assert p_of_share(blurred, 1.75 / 1.9) > LOWEST_P
    radii = np.bincount(draws.blur_radii_px[blurred], minlength=7)[1:]
    expected = np.diff([0.25, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2.0]) / 1.75
    assert p_of(stats.chisquare(radii, expected * radii.sum())) > LOWEST_P
    # Weights in steps of 1/256 move the spread of a narrow blur in steps that a fine test would see.
    ours, slow = spreads(draws.blur_taps[blurred].astype(float)), slow_spreads(sigmas[sigmas >= 0.25])
    assert distance(ours, slow) < 0.035
    assert p_of(stats.ks_2samp(ours[ours > 0.8], slow[slow > 0.8])) > LOWEST_P


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_blur_comes_with_its_probability(probability: float) -> None:
    draws = drawn(ViewSpec(size_px=224, blur=Blur(probability=probability, min_sigma_px=0.5)))
    assert p_of_share(draws.blur_radii_px > 0, probability) > LOWEST_P


def test_own_rows_are_those_of_the_whole_batch() -> None:
    spec = ViewSpec(size_px=64, solarise=0.3)
    whole = sample(spec, 30, stream(5, "rows"))
    part, cut = sample(spec, 30, stream(5, "rows"), slice(10, 20)), whole.rows(slice(10, 20))
    assert len(part) == len(cut) == 10
    centre, reach = whole.blur_taps.shape[1] // 2, part.blur_taps.shape[1] // 2
    np.testing.assert_array_equal(part.blur_taps, cut.blur_taps[:, centre - reach : centre + reach + 1])
    for name in ("areas", "aspects", "places", "flips", "recolours", "blur_radii_px", "solarises"):
        np.testing.assert_array_equal(getattr(part, name), getattr(cut, name))
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[10:20])
    np.testing.assert_array_equal(part.colours.mixes, cut.colours.mixes)
    np.testing.assert_array_equal(part.colours.mean_mixes, cut.colours.mean_mixes)
    assert [part.crop(row, 90, 120) for row in range(10)] == [whole.crop(row, 90, 120) for row in range(10, 20)]
