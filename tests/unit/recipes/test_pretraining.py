"""The recipe's own decisions: sizes from the data, the folder, the probe, the command on the card."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import torch
from drawn import draw_pictures

from chiasm.core.errors import InputError
from chiasm.core.example import Example, Splits
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.heads import pool
from chiasm.layers.hiding import Replaced
from chiasm.layers.mlp import SwiGluMlp
from chiasm.layers.patch import Linear
from chiasm.layers.positions import Learned, Rotary
from chiasm.objectives import simclr as method
from chiasm.recipes._folder import check_run_folder
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._probe import OnlineKnn, labelled_splits
from chiasm.recipes._sizes import fitted, typical_size_px
from chiasm.recipes._words import options, summary
from chiasm.recipes.simclr import simclr
from chiasm.surfaces import cli
from chiasm.trunks import vit


class Plain:
    """A source of equal grey pictures."""

    name, classes = "plain", ()

    def __init__(self, height, width, count=10):
        self._picture, self._count = np.full((height, width, 3), 127, np.uint8), count

    def __len__(self):
        return self._count

    def key(self, index):
        return str(index)

    def label(self, index):
        return None

    def digest(self, index):
        return "grey"

    def read(self, index, min_side_px=None):
        return Example(str(index), self._picture)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(32, 32, 32), (20, 90, 32), (70, 64, 64), (250, 375, 224), (2000, 3000, 224)]
)
def test_size_follows_the_shorter_side(height, width, size):
    assert typical_size_px(Plain(height, width)) == size
    trunk = fitted(vit.Config(), Plain(height, width), {})
    assert trunk.image_size == size
    assert trunk.image_size % trunk.patch_size == 0
    assert trunk.patch_size == vit.Config().usual_patch_size(size)


def test_given_sizes_are_kept():
    trunk = fitted(vit.Config(image_size=48, patch_size=12, depth=2), Plain(32, 32), {})
    assert (trunk.image_size, trunk.patch_size, trunk.depth) == (48, 12, 2)
    with pytest.raises(InputError, match="multiple"):
        fitted(vit.Config(image_size=64, patch_size=5), Plain(32, 32), {})


def test_the_size_that_was_not_given_suits_the_one_that_was():
    trunk = fitted(vit.Config(image_size=50), Plain(32, 32), {})
    assert (trunk.image_size, trunk.patch_size) == (50, 10)
    trunk = fitted(vit.Config(patch_size=7), Plain(40, 32), {})
    assert (trunk.image_size, trunk.patch_size) == (28, 7)
    with pytest.raises(InputError, match="patch_size, 8, but 53 came"):
        fitted(vit.Config(image_size=53), Plain(32, 32), {})


def test_folders(tmp_path):
    check_run_folder(tmp_path / "new", resume=False)
    check_run_folder(tmp_path, resume=False)
    # A run that was killed before it wrote anything.
    check_run_folder(tmp_path, resume=True)
    with pytest.raises(InputError, match="checkpoint"):
        check_run_folder(tmp_path / "new", resume=True)
    (tmp_path / "x").write_text("x")
    with pytest.raises(InputError, match="checkpoint"):
        check_run_folder(tmp_path, resume=True)
    with pytest.raises(InputError, match="not empty"):
        check_run_folder(tmp_path, resume=False)


def test_a_run_without_a_checkpoint_keeps_its_length(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 6)))
    simclr(source, tmp_path / "run", **SETTINGS, steps=3)
    for name in ("checkpoint.safetensors", "model.safetensors", "config.json", "card.md", "metrics.json"):
        (tmp_path / "run" / name).unlink()
    assert simclr(source, tmp_path / "run", **SETTINGS, resume=True).steps == 3
    # Also on its card, though this time no length was given.
    assert "--steps 3 --seed 0`" in (tmp_path / "run" / "card.md").read_text()
    with pytest.raises(InputError, match="finite --minutes, but inf came"):
        simclr(source, tmp_path / "other", **SETTINGS, minutes=float("inf"))


def test_probe_tells_colours_apart_and_needs_labels(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 10)))
    splits = labelled_splits(source, 0)
    assert isinstance(splits, Splits)
    keys = [{part.key(index) for index in range(len(part))} for part in (splits.train, splits.test)]
    assert not keys[0] & keys[1]
    assert len(keys[0] | keys[1]) == 30
    torch.manual_seed(0)
    trunk = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2).build().eval()
    probe = OnlineKnn(splits, pool.Config(), 16, 0)
    with torch.inference_mode():
        assert probe(trunk)["knn_accuracy"] > 0.9
        # A pool that learns is not at hand: nothing random stands in for it.
        attentive = OnlineKnn(splits, pool.Config(by=pool.ByAttention(num_heads=2)), 16, 0)
        assert attentive(trunk) == OnlineKnn(splits, pool.Config(by=pool.ByClassOrMean()), 16, 0)(trunk)
    assert labelled_splits(Plain(8, 8), 0) is None
    with pytest.raises(InputError, match="plain has none; leave out --probe"):
        OnlineKnn(Splits(source, Plain(8, 8)), pool.Config(), 16, 0)


SETTINGS = {
    "trunk": vit.Config(
        image_size=16,
        patch_size=8,
        embed_dim=16,
        depth=1,
        num_heads=2,
        cls_token=False,
        stem=Linear(),
        positions=Rotary(theta=50),
        mlp=SwiGluMlp(),
        hiding=Replaced(),
        mean=(0.5, 0.4, 0.3),
    ),
    "objective": method.Config(colour=0.25, pool=pool.Config(by=pool.ByMean())),
    "engine": Settings(batch_size=8, num_probes=1, precision="fp32", accelerator="cpu"),
}


def test_the_command_on_the_card_makes_the_run_again(tmp_path, monkeypatch):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 6)))
    simclr(source, tmp_path / "run", **SETTINGS, steps=2, seed=3)
    card = (tmp_path / "run" / "card.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("- **Command**"))
    words = shlex.split(line.split("`")[1])
    assert words[:3] == ["chiasm", "train", "simclr"]
    asked = []
    report = TrainingReport(
        model="m",
        objective="o",
        trunk_parameters=1,
        steps=1,
        minutes=1.0,
        images_per_second=1.0,
        skipped=0,
        metrics={},
    )
    monkeypatch.setattr(Pretraining, "run", lambda self: asked.append(self) or report)
    assert cli.run(words[1:]) == 0
    again = asked[0]
    assert {name: getattr(again, name) for name in SETTINGS} == SETTINGS
    assert again.settled == SETTINGS["trunk"]
    assert (again.data.name, again.out, again.steps, again.seed) == (source.name, tmp_path / "run", 2, 3)


@pytest.mark.parametrize(
    ("name", "other", "told"),
    [
        ("trunk", SETTINGS["trunk"].model_copy(update={"positions": Learned()}), "trunk was .*positions.kind=rotary"),
        (
            "objective",
            SETTINGS["objective"].model_copy(update={"pool": pool.Config(by=pool.ByBoth())}),
            "by.kind=mean_patches and is now .*by.kind=class_and_mean",
        ),
    ],
)
def test_a_run_is_resumed_only_with_the_same_settings(tmp_path, name, other, told):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 6)))
    settings = {**SETTINGS, "steps": 2}
    first = simclr(source, tmp_path / "run", **settings)
    with pytest.raises(InputError, match=told):
        simclr(source, tmp_path / "run", **{**settings, name: other}, resume=True)
    # Without a length it keeps that of before: a finished run has nothing left to do, and its figures stay.
    again = simclr(source, tmp_path / "run", **SETTINGS, resume=True)
    assert again.steps == 2
    assert again.metrics == first.metrics
    assert again.metrics.keys() >= {"loss", "knn_accuracy"}
    assert simclr(source, tmp_path / "run", **SETTINGS, steps=3, resume=True).steps == 3


def test_settings_in_words_name_the_kind_of_a_part():
    assert summary(vit.Config()) == "defaults"
    assert summary(pool.Config(by=pool.ByMean())) == "by.kind=mean_patches"
    assert options("trunk", vit.Config(mean=(0.5, 0.4, 0.3), cls_token=False)) == [
        "--trunk.cls-token=False",
        "--trunk.mean=0.5",
        "--trunk.mean=0.4",
        "--trunk.mean=0.3",
    ]
