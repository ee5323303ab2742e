"""Words: classes told by their names alone, and pictures found by what is said about them."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.example import Source
from chiasm.data.open import open_source
from chiasm.evaluate.retrieval import retrieval
from chiasm.report import blocks, pictures
from chiasm.report.page import Section
from chiasm.serve.encoder import open_encoder
from chiasm.surfaces.tour._folder import draw_folder, read_picture
from chiasm.surfaces.tour._run import Tour
from chiasm.surfaces.tour._share import share
from chiasm.tasks.classify import Prediction, classify
from chiasm.tasks.index import index
from chiasm.tasks.search import Found, search
from chiasm.weights.find import STARTER

ORDER = 72
NUM_PICTURES = 300
NUM_SHOWN = 12
SCENES = "world:compositional?size=64&seed=2&length=100"
"""Pictures of several objects, in combinations of class and colour that the starter never saw."""
NUM_SEARCHES = 4
LIMIT = 5


def words(tour: Tour) -> Section:
    """Ask the starter for classes and for pictures, in words."""
    encoder = open_encoder(STARTER)
    folder = draw_folder(tour.out / "unseen", "compositional", NUM_PICTURES, tour.seed + 3)
    singles, scenes = open_source(str(folder)), open_source(SCENES)
    named = classify(encoder, singles, labels=singles.classes, bootstrap=500, seed=tour.seed)
    found = retrieval([encoder], data=[scenes], bootstrap=500, seed=tour.seed).results[0].text_to_picture
    place = tour.out / "scenes.index"
    index(encoder, scenes, place)
    places = {scenes.key(number): number for number in range(len(scenes))}
    asked = [scenes.read(number).captions[0] for number in range(0, len(scenes), len(scenes) // NUM_SEARCHES)]
    searches = [search(encoder, place, text=text, limit=LIMIT) for text in asked]
    recall = found.recall_at_1
    if named.accuracy is not None:
        tour.say(f"{named.accuracy.value:.1%} of the pictures named right (chance {1 / len(singles.classes):.1%})")
    tour.say(f"{recall.value:.1%} of captions find their own among {found.num_answers} pictures first")
    return Section(
        "Words",
        f"The model {STARTER}, which comes with the library, reads. Here it names objects in colours that it never saw "
        "them in, and finds scenes by what is said about them. It knows drawn pictures such as these, not photographs.",
    ).add(
        blocks.Figures(
            [
                share("named right", named.accuracy, f"chance {100 / len(singles.classes):.1f} %"),
                share("captions that find their picture first", recall, f"chance {100 / found.num_answers:.1f} %"),
            ]
        ),
        blocks.Heading("Classes by their names"),
        pictures.ContactSheet([_named(folder, one) for one in named.predictions[:: NUM_PICTURES // NUM_SHOWN]]),
        blocks.Heading("Search by words"),
        *(
            block
            for text, one in zip(asked, searches, strict=True)
            for block in (blocks.Paragraph(f"“{text}”"), _hits(scenes, places, text, one))
        ),
        blocks.Details(
            "The commands",
            [
                blocks.Command(
                    f"chiasm classify {STARTER} --data {folder} --labels '{','.join(singles.classes)}'\n"
                    f"chiasm evaluate retrieval {STARTER} --data '{SCENES}'\n"
                    f"chiasm index {STARTER} --data '{SCENES}' --out {place}\n"
                    f"chiasm search {STARTER} --index {place} --text '{asked[0]}'"
                )
            ],
        ),
    )


def _named(folder: Path, prediction: Prediction) -> pictures.Picture:
    mark = pictures.CORRECT if prediction.label == prediction.truth else pictures.WRONG
    caption = f"{prediction.label} {prediction.probability:.0%}"
    return pictures.Picture.of(read_picture(folder / prediction.key), f"a {prediction.truth}", caption, mark)


def _hits(scenes: Source, places: dict[str, int], text: str, found: Found) -> blocks.Block:
    """What was found for a caption; marked where it is the picture that the caption was written for."""
    items = []
    for hit in found.hits:
        example = scenes.read(places[hit.key])
        mark = pictures.CORRECT if text in example.captions else None
        items.append(
            pictures.Picture.of(
                example.picture, f"hit {hit.rank}: {example.captions[0]}", f"{hit.rank}. {hit.score:.2f}", mark
            )
        )
    return pictures.ContactSheet(items)
