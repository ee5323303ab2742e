"""A public model: classes by their names alone, and a folder searched by words, with a checkpoint that you name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.data.open import open_source
from chiasm.report import blocks, formats, pictures
from chiasm.report.page import Section
from chiasm.surfaces.tour._folder import class_of, draw_folder, read_picture
from chiasm.surfaces.tour._run import Tour
from chiasm.surfaces.tour._share import share
from chiasm.tasks.classify import Classified, Prediction, classify
from chiasm.tasks.index import index
from chiasm.tasks.search import Found, search

if TYPE_CHECKING:
    from chiasm.core.predictors import Encoder

ORDER = 80
NUM_PICTURES = 240
PICTURE_PX = 224
NUM_SHOWN = 12
NUM_SEARCHES = 4
LIMIT = 6
TITLE = "A public model"


def public_model(tour: Tour) -> Section:
    """Zero-shot classification and search by words, or a sentence on how to see them."""
    if tour.model is None:
        return _skipped(tour, "No public model was named", "name one")
    from chiasm.serve.encoder import open_encoder

    encoder = open_encoder(tour.model)
    if encoder.text is None:
        return _skipped(tour, f"{tour.model} sees pictures only", "name one that was tied to language")
    folder = draw_folder(tour.out / "public", "test", NUM_PICTURES, tour.seed + 2, PICTURE_PX)
    source = open_source(str(folder))
    named = classify(encoder, source, labels=source.classes, bootstrap=500, seed=tour.seed)
    place = tour.out / "public.index"
    index(encoder, source, place)
    found = [search(encoder, place, text=_sentence(name), limit=LIMIT) for name in _spread(source.classes)]
    return _section(tour, encoder, folder, named, found)


def _skipped(tour: Tour, why: str, do: str) -> Section:
    tour.say(f"skipped: {why.lower()}")
    text = f"{why}. To see classes told by their names alone and a folder searched by words, {do}:"
    command = blocks.Command(f"chiasm tour --out {tour.out} --model openai/clip-vit-base-patch32")
    return Section(TITLE, "Checkpoints of other people, read by their public names or from a folder.").add(
        blocks.Note("Skipped", text), command
    )


def _section(tour: Tour, encoder: Encoder, folder: Path, named: Classified, found: list[Found]) -> Section:
    accuracy = named.accuracy
    chance = 100 / len(named.num_predicted)
    hits = sum(_right(one) for one in found) / (LIMIT * len(found))
    if accuracy is not None:
        tour.say(f"zero-shot accuracy {accuracy.value:.1%} (chance {chance:.1f} %); search by words {hits:.1%} right")
    percent = formats.number(1)
    figures = [
        blocks.Figure("pictures", named.num_scored),
        share("zero-shot accuracy", accuracy, f"chance {chance:.1f} %"),
        blocks.Figure("right among the hits of words", 100 * hits, "%", show=percent),
    ]
    labels = ",".join(named.num_predicted)
    return Section(
        TITLE,
        f"{encoder.name}, never trained on these pictures, tells {len(named.num_predicted)} classes by their names and "
        "finds pictures by words. They are drawn, not photographed, so this is a hard test for it.",
    ).add(
        blocks.Figures(figures),
        blocks.Heading("Classes by their names"),
        pictures.ContactSheet([_shown(folder, one) for one in named.predictions[:: NUM_PICTURES // NUM_SHOWN]]),
        blocks.Heading("Search by words"),
        *(block for one in found for block in _row(folder, one)),
        blocks.Details(
            "The commands",
            [
                blocks.Command(
                    f"chiasm classify {encoder.name} --data {folder} --labels '{labels}'\n"
                    f"chiasm index {encoder.name} --data {folder} --out {tour.out / 'public.index'}\n"
                    f"chiasm search {encoder.name} --index {tour.out / 'public.index'} --text '{found[0].text}'"
                )
            ],
        ),
    )


def _sentence(name: str) -> str:
    return f"a drawing of a {name}"


def _spread(classes: tuple[str, ...]) -> tuple[str, ...]:
    """A few classes from all over the list."""
    return classes[:: max(len(classes) // NUM_SEARCHES, 1)][:NUM_SEARCHES]


def _right(found: Found) -> int:
    return sum(_sentence(class_of(Path(hit.key))) == found.text for hit in found.hits)


def _shown(folder: Path, prediction: Prediction) -> pictures.Picture:
    mark = pictures.CORRECT if prediction.label == prediction.truth else pictures.WRONG
    caption = f"{prediction.label} {100 * prediction.probability:.0f} %"
    return pictures.Picture.of(read_picture(folder / prediction.key), f"a {prediction.truth}", caption, mark)


def _row(folder: Path, found: Found) -> tuple[blocks.Block, blocks.Block]:
    items = []
    for hit in found.hits:
        name = class_of(Path(hit.key))
        mark = pictures.CORRECT if _sentence(name) == found.text else pictures.WRONG
        pixels = read_picture(folder / hit.key)
        items.append(pictures.Picture.of(pixels, f"hit {hit.rank}: a {name}", f"{name} {hit.score:.2f}", mark))
    return blocks.Paragraph(f"“{found.text}”"), pictures.ContactSheet(items)
