"""The supervised recipe: classes come from the data, and what is kept tells them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from drawn import draw_pictures

from chiasm.core.errors import InputError
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.models import load_picture_model
from chiasm.objectives import supervised as method
from chiasm.recipes.supervised import supervised
from chiasm.surfaces import cli
from chiasm.trunks import vit

TRUNK = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)
ENGINE = Settings(batch_size=12, num_probes=1, lr=0.04, precision="fp32", accelerator="cpu")


def test_the_kept_model_tells_its_classes(tmp_path, capsys):
    pictures = draw_pictures(tmp_path / "pictures", 8)
    source = open_source(str(pictures))
    report = supervised(source, tmp_path / "run", trunk=TRUNK, engine=ENGINE, steps=20)
    # Its own pictures are learned by heart: they tell nothing of how well it sees.
    assert "knn_accuracy" not in report.metrics
    model = load_picture_model(str(tmp_path / "run"))
    head = model.own_head
    assert head is not None
    assert head.classes == source.classes
    right = []
    for index in range(len(source)):
        example = source.read(index)
        image = torch.from_numpy(np.ascontiguousarray(example.picture[None, :16, :16].transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            right.append(int(model(image).argmax()) == example.label)
    assert np.mean(right) > 0.8
    assert f"--objective.num-classes={len(source.classes)}" in (tmp_path / "run" / "card.md").read_text()
    assert cli.run(["classify", str(tmp_path / "run"), str(pictures), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]["value"] > 0.8


def test_data_without_classes_is_refused(tmp_path):
    pictures = draw_pictures(tmp_path / "pictures", 3)
    source = open_source(str(pictures))
    with pytest.raises(InputError, match="leave out --objective.num-classes"):
        supervised(source, tmp_path / "run", objective=method.Config(num_classes=7), trunk=TRUNK, steps=1)
    for folder in sorted(path for path in pictures.iterdir() if path.is_dir()):
        for path in folder.iterdir():
            path.rename(pictures / f"{folder.name}_{path.name}")
        shutil.rmtree(folder)
    with pytest.raises(InputError, match="two classes or more.* has none"):
        supervised(open_source(str(pictures)), tmp_path / "run", trunk=TRUNK, steps=1)
    assert not (tmp_path / "run").exists()
