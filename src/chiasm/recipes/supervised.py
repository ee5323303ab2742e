"""Supervised learning: learn the classes of labelled pictures; the plain baseline for all that learns without labels.

The model that is left tells its own classes apart: `chiasm classify` asks it without further pictures.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Splits
from chiasm.core.protocols import Objective, TrunkConfig
from chiasm.engine.events import Listener
from chiasm.engine.settings import Settings
from chiasm.heads import classes
from chiasm.layers.patch import Convolutions
from chiasm.models import classifier, encoder
from chiasm.objectives import supervised as method
from chiasm.recipes._kept import whole_state, with_own_pool
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._sizes import fitted
from chiasm.recipes._start import Start
from chiasm.trunks import vit

TRUNK, OBJECTIVE, ENGINE = vit.Config(), method.Config(), Settings()
USUAL = {"stem": Convolutions()}


def supervised(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    start_from: str | None = None,
    resume: bool = False,
    probe: Splits | None = None,
    listeners: Sequence[Listener] = (),
    dry_run: bool = False,
) -> TrainingReport:
    """Train a trunk and a class head on labelled pictures.

    Args:
        data: pictures with classes: a folder of folders, a table, shards, or `world:train?size=64`; pictures without a
            class are passed over.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; sizes of pictures and patches are chosen from the data unless given. `--trunk.family` names
            another kind.
        objective: how it learns; the number of classes is that of the data.
        engine: the loop. Where it averages the trunk's weights, the class head stays that of the last step.
        steps: length of the run in optimiser steps.
        minutes: length of the run in minutes of training; 30 when neither is given.
        seed: of weights, order and augmentation.
        start_from: a model whose trunk is trained further: a folder, a file or a public name; its settings are kept
            but for those that are given.
        resume: go on from the checkpoint in `out`.
        probe: labelled pictures for the on-line k-NN; none by default, since those of `data` are learned by heart.
        listeners: told about the run as it goes.
        dry_run: only tell what the run would cost, from a few of its steps; nothing is written.

    Raises:
        InputError: the data has no classes, or another number of them than was given.
    """
    settings = _of_classes(objective, data)
    start = Start(start_from) if start_from is not None else None
    return Pretraining(
        name="supervised",
        data=data,
        out=out,
        trunk=fitted(trunk, data, USUAL) if start is None else start.settings(trunk, needs={}),
        start=start,
        objective=settings,
        pooling=settings.pool,
        engine=engine,
        steps=steps,
        minutes=minutes,
        seed=seed,
        resume=resume,
        probe=probe,
        listeners=listeners,
        dry_run=dry_run,
        model=lambda pictures, learned: _classifier(pictures, learned, data.classes),
        learns_labels=True,
    ).run()


def _of_classes(objective: method.Config, data: Source) -> method.Config:
    """The settings with the number of classes that the data has.

    Raises:
        InputError: fewer than two, or another number than was given, or no picture is of any.
    """
    count = len(data.classes)
    if count < 2 or all(data.label(index) is None for index in range(len(data))):
        do = "sort the pictures into a folder for each class, or train without labels"
        raise InputError("pictures of two classes or more", f"{data.name} has {_told(count)}", do)
    if "num_classes" in objective.model_fields_set and objective.num_classes != count:
        came = f"{data.name} has {count}"
        raise InputError(f"data of {objective.num_classes} classes", came, "leave out --objective.num-classes")
    return objective.model_copy(update={"num_classes": count})


def _told(count: int) -> str:
    return "none" if count == 0 else "one class" if count == 1 else f"{count} classes and no picture of any"


def _classifier(pictures: encoder.Encoder, learned: Objective, names: tuple[str, ...]) -> classifier.Classifier:
    """The encoder with the class head that was learned with it."""
    model = classifier.Config(encoder=pictures.config, head=classes.Config(classes=names)).build()
    model.image_encoder.load_state_dict(with_own_pool(pictures, learned).state_dict())
    model.head.linear.load_state_dict(whole_state(learned.get_submodule("head")))
    return model
