"""Searching a folder: index pictures once, then find those that look like a given one."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from chiasm.data.open import open_source
from chiasm.report import blocks, formats, pictures
from chiasm.report.page import Section
from chiasm.surfaces.tour._folder import class_of, draw_folder, own_pictures, read_picture
from chiasm.surfaces.tour._run import Tour
from chiasm.tasks.index import index
from chiasm.tasks.search import Found, search

ORDER = 40
NUM_QUERIES = 60
SHOWN_QUERIES = 5
LIMIT = 6


def find(tour: Tour) -> Section:
    """Write a folder of pictures, index it, search it."""
    folder = own_pictures(tour)
    queries_folder = draw_folder(tour.out / "queries", "test", NUM_QUERIES, tour.seed)
    encoder = tour.encoder()
    began = time.perf_counter()
    made = index(encoder, open_source(str(folder)), tour.out / "index")
    seconds = time.perf_counter() - began
    again = index(encoder, open_source(str(folder)), tour.out / "index")
    tour.say(f"{made.num_added} pictures embedded, then {again.num_added} on the second run")
    queries = sorted(queries_folder.rglob("*.png"))
    found = [(query, search(encoder, tour.out / "index", query, limit=LIMIT)) for query in queries]
    precision = sum(_right(query, one) for query, one in found) / (LIMIT * len(found))
    sizes = Counter(class_of(path) for path in folder.rglob("*.png"))
    chance = sum(sizes[class_of(query)] for query in queries) / len(queries) / sum(sizes.values())
    tour.say(f"of the first {LIMIT} hits, {precision:.1%} are of the query's class (chance {chance:.1%})")
    return Section(
        "Searching a folder",
        "An index holds one vector per picture and is brought up to date by running the same command again: only new "
        "and changed pictures are embedded.",
    ).add(
        blocks.Figures(
            [
                blocks.Figure("pictures", made.num_pictures),
                blocks.Figure("first run", seconds, "s"),
                blocks.Figure("embedded again", again.num_added, "pictures"),
                blocks.Figure(
                    "right among the first hits",
                    100 * precision,
                    "%",
                    note=f"chance {100 * chance:.1f} %",
                    show=formats.number(1),
                ),
            ]
        ),
        *(_row(folder, query, one) for query, one in found[:: -(-len(found) // SHOWN_QUERIES)]),
        blocks.Details(
            "The commands",
            [
                blocks.Command(
                    f"chiasm index {tour.trunk} --data {folder} --out {tour.out / 'index'}\n"
                    f"chiasm search {tour.trunk} --index {tour.out / 'index'} --query {queries[0]} --limit {LIMIT}"
                )
            ],
        ),
    )


def _right(query: Path, found: Found) -> int:
    return sum(class_of(Path(hit.key)) == class_of(query) for hit in found.hits)


def _row(folder: Path, query: Path, found: Found) -> blocks.Block:
    wanted = class_of(query)
    items = [pictures.Picture.of(read_picture(query), f"query: a {wanted}", wanted, pictures.QUERY)]
    for hit in found.hits:
        name = class_of(Path(hit.key))
        mark = pictures.CORRECT if name == wanted else pictures.WRONG
        pixels = read_picture(folder / hit.key)
        items.append(pictures.Picture.of(pixels, f"hit {hit.rank}: a {name}", f"{name} {hit.score:.2f}", mark))
    return pictures.ContactSheet(items)
