"""Why the model says so: heat maps over pictures, for classes that were learned from a few examples."""

from __future__ import annotations

from pathlib import Path

from chiasm.adapt.logistic import Config as Logistic
from chiasm.core.example import Subset
from chiasm.data.open import open_source
from chiasm.report import blocks, pictures
from chiasm.report.page import Section
from chiasm.surfaces.tour._folder import draw_folder, own_pictures, read_picture
from chiasm.surfaces.tour._run import Tour
from chiasm.tasks.explain import Explained, explain

ORDER = 70
NUM_EXPLAINED = 8
SHOTS = 20
PICTURE_PX = 192


def why(tour: Tour) -> Section:
    """Explain the class of some pictures."""
    from chiasm.report.overlay import HeatOverlay
    from chiasm.serve.explain import open_explainer

    examples = open_source(str(own_pictures(tour)))
    folder = draw_folder(tour.out / "asked", "test", 4 * NUM_EXPLAINED, tour.seed + 3, PICTURE_PX)
    whole = open_source(str(folder))
    asked = Subset(whole, range(0, len(whole), 4), whole.name)
    place = _new_folder(tour.out)
    answer = explain(
        open_explainer(str(tour.trunk)),
        asked,
        place,
        HeatOverlay(),
        examples=examples,
        learner=Logistic().build(),
        shots=SHOTS,
        seed=tour.seed,
    )
    tour.say(f"{len(answer.explanations)} pictures explained by {answer.method}, in {place}")
    return Section(
        "Why the model says so",
        f"Classes are known from {SHOTS} examples each; a map shows which parts of a picture spoke for the answer and "
        f"against the other classes ({answer.method}). It tells what the model used, not whether that was right.",
    ).add(
        pictures.Pictures([_shown(one.out, one.label) for one in answer.explanations]),
        blocks.Details("The command", [blocks.Command(_command(tour, folder, answer))]),
    )


def _new_folder(out: Path) -> Path:
    """A folder for this tour's maps; those of earlier tours stay."""
    number = 1
    while (out / f"why-{number}").exists():
        number += 1
    return out / f"why-{number}"


def _shown(path: Path, label: str | None) -> pictures.Picture:
    return pictures.Picture.of(read_picture(path), f"what spoke for {label}")


def _command(tour: Tour, folder: Path, answer: Explained) -> str:
    return (
        f"chiasm explain {tour.trunk} --data {folder} --examples {own_pictures(tour)} --shots {SHOTS} "
        f"--out {answer.out}"
    )
