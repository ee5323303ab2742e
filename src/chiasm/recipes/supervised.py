"""Supervised learning: learn the classes of labelled pictures; the plain baseline for all that learns without labels.

The model that is left tells its own classes apart: `chiasm classify` asks it without further pictures.

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.protocols import Objective, TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.heads import classes
from chiasm.layers.patch import Convolutions
from chiasm.models import classifier, encoder
from chiasm.objectives import supervised as method
from chiasm.recipes._parts import whole_state
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
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
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a trunk and a class head on labelled pictures.

    Args:
        data: pictures with classes: a folder of folders, a table, shards, or `world:train?size=64`; pictures without a
            class are passed over.
        out: new folder for the run: model, card, log, checkpoint.
        trunk: what learns; unless given, sizes of pictures and patches are chosen from the data, and its stem is
            early convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns; the number of classes is that of the data.
        engine: the loop. Where it averages the trunk's weights, the class head stays that of the last step.
        run: how long, from where, watched by whom: the options of every recipe.

    Raises:
        InputError: the data has no classes, or another number of them than was given.
    """
    settings = _of_classes(objective, data)
    return Pretraining(
        name="supervised",
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        objective=settings,
        pooling=settings.pool,
        engine=engine,
        usual_engine=ENGINE,
        model=lambda pictures, learned: _classifier(pictures, learned, data.classes),
        learns_labels=True,
        **run,
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
    model.image_encoder.load_state_dict(pictures.state_dict())
    model.head.linear.load_state_dict(whole_state(learned.get_submodule("head")))
    return model
