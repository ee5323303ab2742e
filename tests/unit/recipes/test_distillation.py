"""The distillation recipe: a loaded model teaches, and is told of, and stays out of the checkpoint."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import torch
from drawn import draw_pictures

from chiasm.core.errors import InputError
from chiasm.core.tensors import read_tensors
from chiasm.data.open import open_source
from chiasm.engine.checkpoint import FILE_NAME
from chiasm.engine.settings import Settings
from chiasm.heads import pool
from chiasm.models import load_picture_model
from chiasm.models._store import save_model
from chiasm.models.encoder import Config as EncoderConfig
from chiasm.objectives import distillation as method
from chiasm.recipes._report import CostEstimate
from chiasm.recipes.distillation import distillation
from chiasm.trunks import vit
from chiasm.weights.card import Card

STUDENT = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)
ENGINE = Settings(batch_size=6, num_probes=1, precision="fp32", accelerator="cpu")


def make_teacher(folder):
    torch.manual_seed(1)
    trunk = vit.Config(image_size=24, patch_size=8, embed_dim=20, depth=1, num_heads=2, cls_token=False)
    model = EncoderConfig(trunk=trunk, pool=pool.Config(by=pool.ByMean())).build()
    save_model(model, folder, Card.now("a teacher", "nothing", "none", 0.0, {}, {}))
    return model


def test_a_loaded_model_teaches_and_stays_as_it_is(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 6)))
    teacher = make_teacher(tmp_path / "teacher")
    name = str(tmp_path / "teacher")
    settings: dict[str, Any] = {"trunk": STUDENT, "engine": ENGINE}
    report = distillation(source, tmp_path / "run", teacher=name, **settings, steps=3)
    assert "knn_accuracy" in report.metrics
    state = read_tensors(tmp_path / "run" / FILE_NAME)
    assert state["objective.to_vector.weight"].shape == (20, 16)
    assert not any("teacher" in key for key in state)
    words = shlex.split((tmp_path / "run" / "card.md").read_text().replace("`", " "))
    assert words[words.index("--teacher") + 1] == name
    kept = load_picture_model(name).state_dict()
    assert all(torch.equal(value, kept[key]) for key, value in teacher.state_dict().items())
    # The teacher is loaded again when the run goes on.
    assert distillation(source, tmp_path / "run", teacher=name, **settings, steps=4, resume=True).steps == 4
    make_teacher(tmp_path / "other")
    with pytest.raises(InputError, match="teacher was"):
        distillation(source, tmp_path / "run", teacher=str(tmp_path / "other"), **settings, resume=True)


def test_a_pool_that_learns_is_kept(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 3)))
    make_teacher(tmp_path / "teacher")
    objective = method.Config(pool=pool.Config(by=pool.ByAttention(num_heads=2)))
    settings = {"teacher": str(tmp_path / "teacher"), "trunk": STUDENT, "engine": ENGINE, "objective": objective}
    distillation(source, tmp_path / "run", **settings, steps=1)
    learned = read_tensors(tmp_path / "run" / FILE_NAME)
    kept = load_picture_model(str(tmp_path / "run")).encoder.pool.state_dict()
    assert kept
    assert all(torch.equal(value, learned[f"objective.pool.{name}"]) for name, value in kept.items())


def test_a_teacher_that_is_not_there_is_told(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 3)))
    with pytest.raises(InputError):
        distillation(source, tmp_path / "run", teacher=str(tmp_path / "nowhere"), trunk=STUDENT, steps=1)
    assert not (tmp_path / "run").exists()


def test_the_estimate_counts_the_teacher(tmp_path):
    source = open_source(str(draw_pictures(tmp_path / "pictures", 6)))
    teacher = make_teacher(tmp_path / "teacher")
    settings = {"teacher": str(tmp_path / "teacher"), "trunk": STUDENT, "engine": ENGINE}
    report = distillation(source, tmp_path / "run", **settings, steps=3, dry_run=True)
    assert isinstance(report, CostEstimate)
    assert report.parameters - report.learning_parameters == sum(part.numel() for part in teacher.parameters())
