"""Few labels: classify after one to twenty examples of each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chiasm.adapt.centroid import Config as Centroid
from chiasm.adapt.logistic import Config as Logistic
from chiasm.core.predictors import Encoder, Learner
from chiasm.data.cache import Cached
from chiasm.data.open import open_source
from chiasm.evaluate import RawPixels
from chiasm.report import blocks, pictures
from chiasm.report.page import Section
from chiasm.report.plots.line import Series, curves
from chiasm.surfaces.tour._folder import draw_folder, own_pictures, read_picture
from chiasm.surfaces.tour._run import Tour
from chiasm.tasks.classify import Classified, Prediction, classify

ORDER = 50
SHOTS = (1, 2, 5, 10, 20)
NUM_TEST = 600
NUM_SHOWN = 24
CACHE_BYTES = 200_000_000
"""In memory, since the same pictures are asked about again for each number of shots."""


def few_shot(tour: Tour) -> Section:
    """Accuracy against the number of examples, for two learners and for raw pixels."""
    examples_folder = own_pictures(tour)
    test_folder = draw_folder(tour.out / "test", "test", NUM_TEST, tour.seed + 1)
    examples = Cached(open_source(str(examples_folder)), CACHE_BYTES)
    asked = Cached(open_source(str(test_folder)), CACHE_BYTES)
    encoder = tour.encoder()
    ways: dict[str, tuple[Encoder, Learner]] = {
        "trunk, logistic": (encoder, Logistic().build()),
        "trunk, centroid": (encoder, Centroid().build()),
        "pixels, logistic": (RawPixels(), Logistic().build()),
    }
    answers = {
        name: [
            classify(model, asked, examples=examples, learner=learner, shots=shots, seed=tour.seed, bootstrap=500)
            for shots in SHOTS
        ]
        for name, (model, learner) in ways.items()
    }
    for name, results in answers.items():
        told = ", ".join(f"{shots}: {_accuracy(one)[1]:.1%}" for shots, one in zip(SHOTS, results, strict=True))
        tour.say(f"{name:18} shots {told}")
    best = answers["trunk, logistic"][-1]
    return Section(
        "Few labels",
        "A handful of labelled examples per class turns the frozen trunk into a classifier, within seconds and without "
        "training it further.",
    ).add(
        curves(
            [_curve(name, results) for name, results in answers.items()],
            "examples per class",
            "accuracy",
            x_scale="log",
            caption=f"On {best.num_scored} test pictures of {len(asked.classes)} classes; bands are 95 % intervals.",
        ),
        blocks.Heading(f"Answers after {SHOTS[-1]} examples of each class"),
        pictures.ContactSheet([_shown(test_folder, one) for one in best.predictions[:: NUM_TEST // NUM_SHOWN]]),
        blocks.Details(
            "The command",
            [
                blocks.Command(
                    f"chiasm classify {tour.trunk} --examples {examples_folder} --data {test_folder} "
                    f"--shots {SHOTS[-1]} --learner logistic"
                )
            ],
        ),
    )


def _accuracy(answer: Classified) -> tuple[float, float, float]:
    estimate = answer.accuracy
    return (estimate.low, estimate.value, estimate.high) if estimate else (0.0, 0.0, 0.0)


def _curve(name: str, results: Sequence[Classified]) -> Series:
    low, value, high = np.array([_accuracy(one) for one in results]).T
    return Series(name, np.array(SHOTS), value, low, high)


def _shown(folder: Path, answer: Prediction) -> pictures.Picture:
    mark = pictures.CORRECT if answer.label == answer.truth else pictures.WRONG
    caption = f"{answer.label} {answer.probability:.0%}"
    return pictures.Picture.of(read_picture(folder / answer.key), f"a {answer.truth}", caption, mark)
