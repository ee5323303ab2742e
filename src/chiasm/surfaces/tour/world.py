"""The world: pictures with full ground truth, made on the spot."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from chiasm.data.world.domains import DOMAINS
from chiasm.data.world.world import World
from chiasm.report import blocks, pictures
from chiasm.report.page import Section
from chiasm.surfaces.tour._run import Tour

ORDER = 10
SHOWN_PX = 192
NUM_SCENES = 4
NUM_DEFECTS = 4


def world(tour: Tour) -> Section:
    """Show scenes, domains, ground truth, language, edits and defects."""
    everyday = World(size_px=SHOWN_PX, seed=tour.seed, min_objects=3)
    speed = _pictures_per_second(World(size_px=64, seed=tour.seed))
    tour.say(f"{len(everyday.classes)} classes, {len(DOMAINS)} domains; {speed:.0f} pictures/s at 64 px on one core")
    return Section(
        "The world",
        "An endless supply of pictures with everything known about them. It stands in for data wherever there is none: "
        "every chapter below uses it.",
    ).add(
        blocks.Figures(
            [
                blocks.Figure("classes", len(everyday.classes)),
                blocks.Figure("domains", len(DOMAINS)),
                blocks.Figure("rendered", speed, "pictures/s", note="64 px, one core, here and now"),
            ]
        ),
        blocks.Heading("One object of each class"),
        pictures.ContactSheet(list(_one_of_each(tour.seed))),
        blocks.Heading("The same scenes in every domain"),
        pictures.ContactSheet(list(_domains(tour.seed)), min_width_px=120),
        blocks.Heading("What is known about a picture"),
        blocks.Columns([_truth(everyday, 0), _language(everyday, 0)]),
        blocks.Heading("Editing: before, instruction, after"),
        pictures.Pictures(list(_edits(everyday)), min_width_px=180),
        blocks.Heading("Defects, for anomaly work"),
        pictures.Pictures(list(_defects(tour.seed)), min_width_px=180),
    )


def _pictures_per_second(small: World, num_pictures: int = 150) -> float:
    for index in range(20):
        # The first pictures fill the tables of backgrounds and noise.
        small.picture(index)
    began = time.perf_counter()
    for index in range(num_pictures):
        small.picture(index)
    return num_pictures / (time.perf_counter() - began)


def _one_of_each(seed: int) -> Iterator[pictures.Picture]:
    single = World(size_px=96, seed=seed, close_up=True)
    wanted = set(range(len(single.classes)))
    for index in range(len(single)):
        if not wanted:
            return
        label = single.label(index)
        if label in wanted:
            wanted.remove(label)
            name = single.classes[label]
            yield pictures.Picture.of(single.picture(index), f"a {name}", name)


def _domains(seed: int) -> Iterator[pictures.Picture]:
    for index in range(NUM_SCENES):
        for domain in DOMAINS:
            pixels = World(size_px=SHOWN_PX, seed=seed, domain=domain.name, min_objects=2).picture(index)
            yield pictures.Picture.of(pixels, f"scene {index} as {domain.name}", domain.name)


def _truth(source: World, index: int) -> blocks.Block:
    example = source.example(index, truth=True)
    truth = example.truth
    if truth is None:
        return blocks.Paragraph("This picture has no objects.")
    names = [source.classes[label] for label in truth.classes.tolist()]
    legend = pictures.swatches(names)
    overlaid = pictures.outlined(pictures.overlay(example.picture, truth.masks), truth.boxes)
    return pictures.Pictures(
        [
            pictures.Picture.of(example.picture, "a scene", "the picture"),
            pictures.Picture.of(overlaid, f"masks and boxes of {', '.join(names)}", "masks and boxes", legend=legend),
        ],
        min_width_px=180,
    )


def _language(source: World, index: int) -> blocks.Block:
    example = source.example(index, language=True)
    captions = blocks.Paragraph("\n\n".join(example.captions))
    columns = [blocks.Column("kind"), blocks.Column("question"), blocks.Column("answer")]
    rows = [(item.kind, item.question, item.answer) for item in example.questions]
    return blocks.Columns([captions, blocks.Table(columns, rows)])


def _edits(source: World) -> Iterator[pictures.Picture]:
    for index in range(NUM_SCENES):
        example = source.example(index, edit=True)
        if example.edit is not None:
            side_by_side = np.concatenate([example.picture, example.edit.after], axis=1)
            instruction = example.edit.instruction
            yield pictures.Picture.of(side_by_side, f"before and after: {instruction}", instruction)


def _defects(seed: int) -> Iterator[pictures.Picture]:
    flawed = World(size_px=SHOWN_PX, seed=seed, defects=1.0, min_objects=1, max_objects=2)
    shown: set[str] = set()
    for index in range(200):
        kind = flawed.defect_kind(index)
        if kind and kind not in shown and flawed.defect_mask(index).any():
            shown.add(kind)
            mask = flawed.defect_mask(index)
            both = np.concatenate([flawed.picture(index), pictures.overlay(flawed.picture(index), mask[None])], axis=1)
            yield pictures.Picture.of(both, f"an object with a {kind}, and where it is", kind)
        if len(shown) == NUM_DEFECTS:
            return
