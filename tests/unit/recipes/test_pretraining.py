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
from chiasm.heads import pool
from chiasm.recipes._folder import check_run_folder
from chiasm.recipes._probe import OnlineKnn, labelled_splits
from chiasm.recipes._sizes import fitted, patch_size_px, typical_size_px
from chiasm.recipes.simclr import simclr
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
    trunk = fitted(vit.Config(), Plain(height, width))
    assert trunk.image_size == size
    assert trunk.image_size % trunk.patch_size == 0
    assert trunk.patch_size == patch_size_px(size)


def test_given_sizes_are_kept():
    trunk = fitted(vit.Config(image_size=48, patch_size=12, depth=2), Plain(32, 32))
    assert (trunk.image_size, trunk.patch_size, trunk.depth) == (48, 12, 2)
    with pytest.raises(InputError, match="multiple"):
        fitted(vit.Config(patch_size=5), Plain(32, 32))


def test_folders(tmp_path):
    check_run_folder(tmp_path / "new", resume=False)
    check_run_folder(tmp_path, resume=False)
    with pytest.raises(InputError, match="checkpoint"):
        check_run_folder(tmp_path, resume=True)
    (tmp_path / "x").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        check_run_folder(tmp_path, resume=False)


def test_probe_tells_colours_apart_and_needs_labels(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 10)))
    splits = labelled_splits(source, 0)
    assert isinstance(splits, Splits)
    keys = [{part.key(index) for index in range(len(part))} for part in (splits.train, splits.test)]
    assert not keys[0] & keys[1]
    assert len(keys[0] | keys[1]) == 30
    torch.manual_seed(0)
    trunk = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2).build().eval()
    probe = OnlineKnn(splits, pool.Config(), 16, 0, 1)
    with torch.inference_mode():
        assert probe(trunk)["knn_accuracy"] > 0.9
    assert labelled_splits(Plain(8, 8), 0) is None


def test_the_command_on_the_card_makes_the_run_again(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 6)))
    trunk = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)
    simclr(source, tmp_path / "run", trunk=trunk, steps=2, seed=3)
    card = (tmp_path / "run" / "card.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("- **Command**"))
    words = shlex.split(line.split("`")[1])
    assert words[:3] == ["chiasm", "train", "simclr"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options["--data"] == source.name
    assert options["--trunk.embed-dim"] == "16"
    assert options["--steps"] == "2"
    assert options["--seed"] == "3"
