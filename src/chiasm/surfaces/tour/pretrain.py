"""Learning without labels: a small trunk on the world's pictures, watched as it goes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.core.predictors import Record
from chiasm.core.registry import Registry
from chiasm.data.open import open_source, open_splits
from chiasm.engine.checkpoint import FILE_NAME
from chiasm.engine.settings import Settings
from chiasm.objectives import simclr as method
from chiasm.recipes.simclr import simclr
from chiasm.report import blocks
from chiasm.report.page import Section
from chiasm.report.plots.line import Series, curves
from chiasm.surfaces.tour._data import PRETRAINING, SPLITS
from chiasm.surfaces.tour._run import Tour
from chiasm.trunks import vit
from chiasm.weights import artefact

ORDER = 20
# Smaller than pico, which sees too few pictures in the time of a tour.
TRUNK = vit.Config(embed_dim=96, depth=4, num_heads=3, image_size=64, patch_size=16)
# In this world colour says nothing about the class, and most of a picture is its object. Half of the views lose their
# colour: a picture that must match itself with and without makes the trunk look at shapes. (Without any colour in
# training, the trunk would not learn to overlook it.)
OBJECTIVE = method.Config(grey=0.5, min_area=0.3)
# A higher peak than the recipe's: the run is very short.
ENGINE = Settings(batch_size=128, lr=3e-3, lr_scaling="root")
_OF_ENGINE = {
    "step",
    "seconds",
    "loss",
    "lr",
    "weight_decay",
    "grad_norm",
    "spread",
    "images_per_second",
    "waiting_for_data",
}
"""Figures of a step that are not the objective's own."""


def pretrain(tour: Tour) -> Section:
    """Train a small trunk, or take the one that an earlier tour trained."""
    if (tour.trunk / artefact.CONFIG).exists():
        tour.say(f"{tour.trunk} was trained by an earlier tour and is used again; delete it to train anew")
    else:
        _train(tour)
    log = tour.trunk / "log.jsonl"
    steps, probes = _logged(log, "step"), _logged(log, "probe")
    tour.say(f"k-NN accuracy went from {probes[0]['knn_accuracy']:.1%} to {probes[-1]['knn_accuracy']:.1%}")
    name, others = _terms(steps)
    return Section(
        "Learning without labels",
        f"{_summary(log)} No label is used; the k-NN accuracy is only watched.",
    ).add(
        blocks.Figures(_figures(tour.trunk, steps, probes)),
        blocks.Columns(
            [
                curves([_series(name, steps, "loss")], y_label=f"loss: {name}", smoothing=0.8, width_px=460),
                curves([_series("k-NN", probes, "knn_accuracy")], y_label="on-line k-NN accuracy", width_px=460),
            ]
        ),
        *_details(steps, others),
        blocks.Details("The command that trains this trunk", [blocks.Command(_command(tour.trunk))]),
    )


def _train(tour: Tour) -> Record:
    resume = (tour.trunk / FILE_NAME).exists()
    if not resume and tour.trunk.exists():
        # A tour that was stopped before its first checkpoint leaves a log and nothing to go on from.
        shutil.rmtree(tour.trunk)
    return simclr(
        open_source(PRETRAINING),
        tour.trunk,
        trunk=TRUNK,
        objective=OBJECTIVE,
        engine=ENGINE,
        minutes=tour.minutes,
        seed=tour.seed,
        resume=resume,
        probe=open_splits(SPLITS),
        listeners=tour.listeners,
    )


def _figures(trunk: Path, steps: list[Mapping[str, Any]], probes: list[Mapping[str, Any]]) -> list[blocks.Figure]:
    stored = artefact.read(trunk)
    speed = float(np.median([step["images_per_second"] for step in steps]))
    return [
        blocks.Figure("parameters", stored.num_parameters()),
        blocks.Figure("steps", steps[-1]["step"]),
        blocks.Figure("speed", speed, "pictures/s"),
        blocks.Figure("k-NN before", 100 * probes[0]["knn_accuracy"], "%"),
        blocks.Figure("k-NN after", 100 * probes[-1]["knn_accuracy"], "%"),
    ]


def _summary(log: Path) -> str:
    """What the recipe does, in its own words."""
    (start, *_) = _logged(log, "start")
    return Registry("chiasm.recipes", "recipe").summary(start["recipe"])


def _terms(steps: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The name of the loss, which is that of its term where it has one alone, and the objective's other figures."""
    names = [name for name in steps[-1] if name not in _OF_ENGINE]
    whole = [name for name in names if all(step[name] == step["loss"] for step in steps)]
    return (whole or ["loss"])[0], [name for name in names if name not in whole]


def _details(steps: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[blocks.Block]:
    """Curves of the objective's other figures, folded away."""
    if not names:
        return []
    plots = [curves([_series(name, steps, name)], y_label=name, smoothing=0.8, width_px=460) for name in names]
    return [blocks.Details("Further figures of the objective", [blocks.Columns(plots)])]


def _logged(path: Path, kind: str) -> list[Mapping[str, Any]]:
    """The figures of all events of one kind."""
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        {name: value for name, value in event.items() if name != "event"} for event in events if event["event"] == kind
    ]


def _series(name: str, events: Sequence[Mapping[str, Any]], key: str) -> Series:
    return Series(name, np.array([event["step"] for event in events]), np.array([event[key] for event in events]))


def _command(trunk: Path) -> str:
    """The line of the card that holds the command."""
    lines = (trunk / artefact.CARD).read_text(encoding="utf-8").splitlines()
    return next(line.split("`")[1] for line in lines if line.startswith("- **Command**"))
