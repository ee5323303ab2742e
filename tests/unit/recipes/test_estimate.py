"""What a run would cost: counted, measured, and nothing left behind."""

from __future__ import annotations

import inspect

import pytest
from drawn import draw_pictures

from chiasm.core.errors import InputError
from chiasm.core.registry import Registry
from chiasm.data.open import open_source
from chiasm.engine.processes import Processes
from chiasm.engine.settings import Settings
from chiasm.heads import pool, projection
from chiasm.layers.patch import Linear
from chiasm.objectives import simclr as method
from chiasm.recipes._estimate import check_alone
from chiasm.recipes._report import CostEstimate
from chiasm.recipes.simclr import simclr
from chiasm.surfaces.binding import bind
from chiasm.trunks import vit

TRUNK = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, stem=Linear())
OBJECTIVE = method.Config(projection=projection.Config(out_dim=8), pool=pool.Config(by=pool.ByMean()))
ENGINE = Settings(batch_size=8, accumulate=2, precision="fp32", accelerator="cpu")


def estimate(data, out, **more) -> CostEstimate:
    source = open_source(str(data))
    report = simclr(source, out, trunk=TRUNK, objective=OBJECTIVE, engine=ENGINE, dry_run=True, **more)
    assert isinstance(report, CostEstimate)
    return report


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("pictures") / "own", 6)


def test_nothing_is_written_and_the_figures_hang_together(data, tmp_path):
    report = estimate(data, tmp_path / "run", steps=90)
    assert list(tmp_path.iterdir()) == []
    assert report.steps == 90
    assert report.epochs == pytest.approx(90 * 16 / 18)
    assert report.minutes * 60 * report.images_per_second == pytest.approx(90 * 16)
    assert [cost.batch_size for cost in report.batches] == [4, 8]
    for cost in report.batches:
        assert cost.hours * 3600 * cost.images_per_second == pytest.approx(90 * 16)
        assert 0 <= cost.waiting_for_data <= 1
        assert cost.peak_memory_mb is None or 50 < cost.peak_memory_mb < 100_000
    assert report.images_per_second == report.batches[-1].images_per_second
    trunk = sum(weight.numel() for weight in TRUNK.build().parameters())
    assert report.trunk_parameters == trunk
    head = sum(weight.numel() for weight in OBJECTIVE.projection.build(16).parameters())
    assert report.learning_parameters == report.parameters == trunk + head


def test_operations_are_those_counted_by_hand(data, tmp_path):
    report = estimate(data, tmp_path / "run", steps=1)
    tokens, width, views, rows = 5, 16, 2, 4
    patches = 2 * 4 * 192 * width
    per_view = (
        patches
        + 2 * tokens * width * width * (3 + 1 + 4 + 4)  # attention's maps and the feed-forward part
        + 2 * 2 * tokens * tokens * width  # scores, and what they weigh
        + 2 * width * (width + width + 8)  # projection
    )
    compared = 2 * views * (rows * views) * 8 / views
    forward = views * (per_view + compared)
    # The backward pass takes twice the forward one, but for the pictures, which need no gradient.
    assert report.gigaflops_per_picture * 1e9 == pytest.approx(3 * forward - views * patches, rel=1e-3)
    assert report.teraflops_per_step * 1e12 == pytest.approx(16 * report.gigaflops_per_picture * 1e9)


def test_attention_of_long_sequences_is_counted(data, tmp_path):
    # 257 tokens: beyond what is written out as products.
    long = vit.Config(image_size=64, patch_size=4, embed_dim=16, depth=1, num_heads=2, stem=Linear())
    source = open_source(str(data))
    report = simclr(source, tmp_path / "run", trunk=long, objective=OBJECTIVE, engine=ENGINE, steps=1, dry_run=True)
    assert isinstance(report, CostEstimate)
    attention = 2 * 3 * 2 * 2 * 257 * 257 * 16
    maps = 2 * 3 * 257 * 2 * 16 * 16 * 12
    assert report.gigaflops_per_picture * 1e9 > attention + maps


def test_a_run_of_minutes_is_told_in_steps(data, tmp_path):
    report = estimate(data, tmp_path / "run", minutes=2.0)
    assert report.minutes == pytest.approx(2, rel=0.1)
    assert report.steps == pytest.approx(120 * report.images_per_second / 16, rel=0.01)


def test_what_would_be_refused_is_refused(data, tmp_path):
    (tmp_path / "other").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        estimate(data, tmp_path, steps=1)
    with pytest.raises(InputError, match="both came"):
        estimate(data, tmp_path / "run", steps=1, minutes=1.0)
    with pytest.raises(InputError, match="--dry-run in one process, but 2 were started"):
        check_alone(Processes(0, 2))


def test_every_recipe_can_be_estimated():
    registry = Registry("chiasm.recipes", "recipe")
    for name in registry.names():
        assert "dry_run" in inspect.signature(bind(registry.function(name), {})).parameters, name
