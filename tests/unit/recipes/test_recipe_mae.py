"""The recipe of MAE: what a trunk gets for it, which way it learns, going on from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from drawn import draw_pictures

import chiasm
from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.layers.hiding import LeftOut, Replaced
from chiasm.layers.initialise import Xavier
from chiasm.layers.patch import Convolutions, Linear
from chiasm.layers.positions import Learned, SinCos
from chiasm.recipes.mae import ENGINE, mae, way_to_hide
from chiasm.recipes.simclr import simclr
from chiasm.trunks import convnext, swin, vit

LOOP: dict[str, Any] = {"batch_size": 8, "num_probes": 1, "accelerator": "cpu", "precision": "fp32", "log_every": 1}
SWIN: dict[str, Any] = {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "window_sizes": (4,), "image_size": 32}
VIT: dict[str, Any] = {"embed_dim": 16, "depth": 1, "num_heads": 2, "image_size": 32, "patch_size": 8}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return open_source(str(draw_pictures(tmp_path_factory.mktemp("data") / "pictures", 6)))


def run(data: Source, out: Path, trunk: Any, **more: Any) -> Any:
    engine = ENGINE.model_copy(update=LOOP)
    return mae(data, out, trunk=trunk, engine=engine, steps=2, **more)


def test_a_new_vit_is_as_in_the_paper(tmp_path, pictures):
    report = run(pictures, tmp_path / "run", vit.Config(**VIT))
    model: Any = chiasm.load(str(tmp_path / "run"))
    trunk = model.config.trunk
    kinds = (trunk.stem, trunk.positions, trunk.initialisation, trunk.hiding)
    assert kinds == (Linear(), SinCos(), Xavier(), LeftOut())
    assert model.config.pool.by.kind == "mean_patches"
    assert report.steps == 2
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert '"mse"' in log
    assert '"explained"' in log


def test_swin_gets_a_mask_token_and_learns_by_simmim(tmp_path, pictures):
    run(pictures, tmp_path / "run", swin.Config(**SWIN))
    assert '"l1"' in (tmp_path / "run" / "log.jsonl").read_text()
    model: Any = chiasm.load(str(tmp_path / "run"))
    assert model.config.trunk.hiding == Replaced()
    assert model.config.trunk.patch_size == 2


def test_what_is_given_is_kept(pictures):
    for given in (vit.Config(hiding=Replaced()), vit.Config(positions=Learned()), swin.Config(hiding=Replaced())):
        assert way_to_hide(given) == {}
    assert way_to_hide(swin.Config(**SWIN)) == {"hiding": Replaced()}
    assert way_to_hide(convnext.Config()) == {}


def test_it_goes_on_from_a_model_that_never_hid_anything(tmp_path, pictures):
    """A Swin without a mask token gets one; all its other weights go on from where they were."""
    loop = Settings(**LOOP)
    simclr(pictures, tmp_path / "first", trunk=swin.Config(**SWIN), engine=loop, steps=2)
    still = Settings(**LOOP, lr=1e-12)
    mae(pictures, tmp_path / "second", engine=still, steps=1, start_from=str(tmp_path / "first"))
    first, second = (chiasm.load(str(tmp_path / name)).state_dict() for name in ("first", "second"))
    assert set(second) - set(first) == {"trunk.hiding.mask_token"}
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=1e-5, atol=1e-7)


def test_a_convnext_is_refused_before_anything_is_written(tmp_path, pictures):
    with pytest.raises(InputError, match="a trunk that can hide patches"):
        run(pictures, tmp_path / "run", convnext.Config(image_size=32))
    assert not (tmp_path / "run").exists()


def test_behind_a_stem_of_convolutions_a_vit_learns_by_simmim(tmp_path, pictures):
    run(pictures, tmp_path / "run", vit.Config(**VIT, stem=Convolutions()))
    assert '"l1"' in (tmp_path / "run" / "log.jsonl").read_text()


def test_the_loop_is_as_in_the_paper():
    assert (ENGINE.betas, ENGINE.weight_decay, ENGINE.final_weight_decay) == ((0.9, 0.95), 0.05, 0.05)
    assert (ENGINE.warmup, ENGINE.clip_norm, ENGINE.ema_momentum) == (0.05, 0, 0)
