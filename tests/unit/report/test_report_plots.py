"""Plots: the same text for the same numbers, small, readable without being seen, right in their geometry."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from chiasm.core.errors import InputError, MissingExtraError
from chiasm.report.plots import Bar, Plot, Series, bars, confusion, curves, scatter_map
from chiasm.report.plots.line import smoothed, spread_apart, thinned
from chiasm.report.plots.scatter import representatives


def _texts(plot: Plot) -> list[str]:
    return [
        "".join(element.itertext()) for element in ElementTree.fromstring(plot.svg).iter() if _tag(element) == "text"
    ]


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _curves(seed: int, num_steps: int = 200) -> Plot:
    generator = np.random.default_rng(seed)
    steps = np.arange(num_steps)
    return curves(
        [Series(name, steps, generator.normal(size=num_steps) + 3) for name in ("loss", "term")],
        y_label="nats",
        smoothing=0.9,
    )


def _map(num_points: int, max_pictures: int = 30) -> Plot:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 4, num_points)
    points = generator.normal(size=(num_points, 2)) + 3 * labels[:, None] * [1, 0.5]
    picture = np.full((20, 30, 3), 90, dtype=np.uint8)
    return scatter_map(points, labels, ["a", "b", "_c", "d"], picture=lambda _: picture, max_pictures=max_pictures)


def test_plots_are_the_same_in_any_thread_and_under_any_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [_curves(seed).svg for seed in range(4)]
    before = matplotlib.rcParams.copy()
    with ThreadPoolExecutor(4) as threads:
        assert [plot.svg for plot in threads.map(_curves, range(4))] == expected
    assert matplotlib.rcParams.copy() == before
    monkeypatch.setitem(matplotlib.rcParams, "axes.linewidth", 9.0)
    assert _curves(0).svg == expected[0]
    assert matplotlib.rcParams["axes.linewidth"] == 9.0


def test_colours_follow_the_scheme_of_the_page() -> None:
    svg = _curves(0).svg
    assert "stroke:var(--series-1, #305cad)" in svg
    assert "fill:var(--ink, " in bars([Bar("a", 1.0)]).svg
    left = set(re.findall(r"(?<!, )#[0-9a-f]{6}", re.sub(r"aria-label=\"[^\"]*\"", "", svg)))
    assert left <= {"#000000"}


def test_sizes_stay_small() -> None:
    assert len(_curves(0, num_steps=50_000).svg) < 60_000
    assert len(bars([Bar(f"method {index}", index, (index - 1, index + 1)) for index in range(20)]).svg) < 20_000
    counts = np.random.default_rng(0).poisson(0.1, (100, 100)) + 20 * np.eye(100, dtype=int)
    assert len(confusion(counts, [f"class {index}" for index in range(100)]).svg) < 80_000
    assert len(_map(1200, max_pictures=0).svg) < 30_000
    assert len(_map(20_000, max_pictures=0).svg) < 400_000


def test_curves_are_named_at_their_ends_without_overlap() -> None:
    steps = np.arange(30)
    plot = curves([Series(f"curve {index}", steps, np.full(30, 1.0 + index / 1000)) for index in range(6)])
    root = ElementTree.fromstring(plot.svg)
    heights = [float(text.attrib["y"]) for text in root.iter() if (text.text or "").startswith("curve ")]
    assert len(heights) == 6
    assert np.diff(sorted(heights)).min() > 15


def test_curves_tell_their_ends_in_words() -> None:
    plot = curves([Series("loss", np.array([0, 10]), np.array([6.5, 2.0]))], "step", "nats")
    assert plot.alt == "Curves of nats over step. loss: from 6.5 at 0 to 2 at 10."
    gone = curves(
        [Series("loss", np.array([0, 1, 2]), np.array([1.0, 0.5, np.nan])), Series("b", np.ones(1), np.array([np.inf]))]
    )
    assert "loss: from 1 at 0 to 0.5 at 1. b: no finite value." in gone.alt
    assert f'aria-label="{plot.alt}"' in plot.svg


def test_curves_with_gaps_logarithms_and_bands_are_drawn() -> None:
    steps = np.array([1, 2, 4, 8, 16])
    values = np.array([0.5, np.nan, 0.05, np.inf, 0.005])
    plot = curves(
        [Series("error", steps, values, values * 0.9, values * 1.1), Series("lost", steps, values * np.nan)],
        x_scale="log",
        y_scale="log",
    )
    assert {"1", "2", "4", "8", "16"} <= set(_texts(plot))
    assert "nan" not in plot.svg.lower().replace('"', " ").split()


def test_smoothing_is_the_weighted_mean_of_the_past() -> None:
    values = np.array([3.0, 1.0, np.nan, 2.0, 5.0])
    result = smoothed(values, 0.8)
    past = values[[0, 1, 3, 4]]
    weights = 0.8 ** np.arange(4)[::-1]
    assert result[-1] == pytest.approx((weights * past).sum() / weights.sum())
    assert result[0] == 3.0
    assert np.isnan(result[2])
    np.testing.assert_array_equal(smoothed(values, 0.0), values)


def test_thinning_keeps_extremes_and_ends() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    values[[123, 4567]] = 50, -50
    kept = thinned(values, 600)
    assert len(kept) <= 602
    assert {0, 123, 4567, 9999} <= set(kept.tolist())
    np.testing.assert_array_equal(thinned(values[:600], 600), np.arange(600))
    assert len(thinned(np.full(10_000, np.nan), 600)) > 0


def test_labels_are_spread_as_little_as_needed() -> None:
    np.testing.assert_allclose(spread_apart(np.array([0.0, 50.0, 100.0]), 16, 100), [0, 50, 100])
    np.testing.assert_allclose(spread_apart(np.array([10.0, 12.0, 90.0]), 16, 100), [10, 26, 90])
    np.testing.assert_allclose(spread_apart(np.array([96.0, 98.0, 100.0]), 16, 100), [68, 84, 100])


def test_bars_write_values_and_intervals() -> None:
    plot = bars(
        [Bar("probe", 78.44, (75.9, 80.6)), Bar("loss of ground", -3.0)], "accuracy (%)", reference=("chance", 10)
    )
    assert {"78.4", "75.9 to 80.6", "−3.0", "probe", "chance", "accuracy (%)"} <= set(_texts(plot))
    assert "probe: 78.4 (interval 75.9 to 80.6)" in plot.alt
    assert "chance: 10." in plot.alt


@pytest.mark.parametrize("value", [0.0, -2.0, np.nan, np.inf])
def test_bars_of_any_value_are_drawn(value: float) -> None:
    assert bars([Bar("a", value), Bar("b", value, (value, value))], reference=("level", value)).svg


@pytest.mark.parametrize("values", [np.zeros(3), -np.ones(3), np.array([1, 2, 3]), np.array([1e30, 1e-30, 0])])
def test_curves_of_any_values_are_drawn_on_any_scale(values: np.ndarray) -> None:
    for steps in (np.zeros(3), np.arange(3)):
        assert curves([Series("a", steps, values)], x_scale="log", y_scale="log").svg


def test_confusion_writes_shares_of_the_true_class() -> None:
    plot = confusion(np.array([[3, 1, 0], [0, 8, 0], [0, 0, 0]]), ["cat", "dog", "owl"])
    texts = _texts(plot)
    assert texts.count("75") == texts.count("25") == texts.count("100") == 1
    assert texts.count("cat") == 2
    assert plot.alt == (
        "Confusion matrix of 3 classes: 11 of 12 right. Most frequent mistakes: cat answered as dog (1)."
    )


def test_confusion_of_many_classes_leaves_names_out() -> None:
    plot = confusion(np.eye(90, dtype=int), [f"class {index}" for index in range(90)])
    assert "class 7" not in _texts(plot)


def test_map_shows_pictures_that_do_not_overlap() -> None:
    root = ElementTree.fromstring(_map(300).svg)
    images = [element for element in root.iter() if _tag(element) == "image"]
    frames = [element for element in root.iter() if _tag(element) == "rect" and "pointer-events" in element.attrib]
    assert 8 < len(images) <= 30
    assert len(frames) == len(images)
    corners = np.array([[float(image.attrib["x"]), float(image.attrib["y"])] for image in images])
    side = float(images[0].attrib["width"])
    apart = np.abs(corners[:, None] - corners[None]).max(axis=2) + 1000 * np.eye(len(corners))
    assert apart.min() >= side
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    assert corners.min() >= 0
    assert (corners + side <= [width, height]).all()
    assert images[0][0].text in {"a", "b", "_c", "d"}


def test_map_names_every_class_and_what_has_none() -> None:
    points = np.random.default_rng(0).normal(size=(120, 2))
    labels = np.append(np.arange(100) % 30, np.full(20, -1))
    plot = scatter_map(points, labels, [f"_{index}" for index in range(30)])
    legend = [text.lstrip("\u2060") for text in _texts(plot)]
    assert {f"_{index}" for index in range(24)} <= set(legend)
    assert "6 more classes, no class" in legend
    assert "120 points" in plot.alt


def test_representatives_take_turns_and_stand_in_the_crowd() -> None:
    generator = np.random.default_rng(0)
    crowd = generator.normal(100, 4, (50, 2))
    loner = np.array([[300.0, 300.0]])
    other = np.array([[101.0, 200.0], [400.0, 100.0]])
    places = np.concatenate([loner, crowd, other])
    labels = np.array([0] * 51 + [1, 1])
    chosen = representatives(places, labels, np.ones(53, dtype=bool), 20.0, 2)
    assert np.abs(places[chosen[0]] - 100).max() < 10
    assert labels[chosen].tolist() == [0, 1]
    assert 0 not in representatives(places, labels, places[:, 0] < 250, 20.0, 50)
    assert len(representatives(places, labels, np.zeros(53, dtype=bool), 20.0, 50)) == 0


def test_a_single_point_is_a_map() -> None:
    assert "1 points" in scatter_map(np.zeros((1, 2)), np.zeros(1, dtype=int), ["only"]).alt


def test_foreign_scripts_and_formulas_are_drawn_as_they_stand() -> None:
    plot = bars([Bar("猫 $x_{$ 🙂 <b>&", 1.0)])
    assert "猫 $x_{$ 🙂 <b>&" in _texts(plot)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: curves([]),
        lambda: curves([Series("empty", np.zeros(0), np.zeros(0))]),
        lambda: curves([Series("one", np.ones(2), np.ones(2))], smoothing=1.0),
        lambda: bars([]),
        lambda: confusion(np.zeros((2, 2), dtype=int), ["one"]),
        lambda: confusion(np.zeros((0, 0), dtype=int), []),
        lambda: scatter_map(np.zeros((0, 2)), np.zeros(0, dtype=int), []),
        lambda: scatter_map(np.full((2, 2), np.nan), np.zeros(2, dtype=int), ["a"]),
        lambda: scatter_map(np.zeros((2, 2)), np.zeros(2, dtype=int), ["a"], names=["one"]),
    ],
)
def test_nothing_to_draw_is_one_line(draw) -> None:
    with pytest.raises(InputError):
        draw()


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=re.escape("chiasm[report]")):
        bars([Bar("a", 1.0)])
