"""Tidying a folder: copies that differ a little, pictures unlike the rest, labels that look wrong; all planted here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageEnhance

from chiasm.core.files import atomic_folder
from chiasm.data.open import open_source
from chiasm.evaluate import RawPixels
from chiasm.report import blocks, formats, pictures
from chiasm.report.page import Section
from chiasm.surfaces.tour._folder import class_of, own_pictures, read_picture
from chiasm.surfaces.tour._run import Tour
from chiasm.tasks.duplicates import Duplicates, duplicates
from chiasm.tasks.outliers import Outliers, outliers

ORDER = 60
NUM_PICTURES = 1200
NUM_COPIES = 12
NUM_MISLABELLED = 8
SHOWN_GROUPS = 8
SHOWN_PICTURES = 24
SHOWN_SUSPECTS = 8


@dataclass(frozen=True, slots=True)
class Planted:
    """What was hidden in the folder.

    Attributes:
        folder: of the pictures.
        copies: keys of altered copies.
        mislabelled: keys of pictures in the folder of another class.
    """

    folder: Path
    copies: frozenset[str]
    mislabelled: frozenset[str]


def tidy(tour: Tour) -> Section:
    """Plant copies and wrong labels in a folder, then look for them."""
    planted = _plant(own_pictures(tour), tour.out / "untidy")
    encoder, source = tour.encoder(), open_source(str(planted.folder))
    # A trunk that was taught to overlook cuts and colours takes different pictures for the same; pixels do not.
    copies = duplicates(RawPixels(), source, seed=tour.seed)
    odd = outliers(encoder, source, limit=2 * NUM_MISLABELLED)
    found = sum(one.key in planted.copies for one in copies.duplicates)
    suspected = sum(one.key in planted.mislabelled for one in odd.suspects)
    tour.say(f"{found} of {len(planted.copies)} copies are in a group of duplicates")
    tour.say(f"{suspected} of {len(planted.mislabelled)} wrong labels are among the first {len(odd.suspects)} suspects")
    return Section(
        "Tidying a folder",
        f"{len(planted.copies)} copies (smaller, cut, brighter, saved again) and {len(planted.mislabelled)} wrong "
        f"labels were hidden among {NUM_PICTURES} pictures. Copies are looked for by small pixels, as this trunk was "
        "taught to overlook cuts and colours; labels by the trunk. Nothing is removed: a person decides.",
    ).add(
        blocks.Figures(_figures(planted, copies, odd, found, suspected)),
        blocks.Heading("Groups of near-duplicates"),
        _groups(planted.folder, copies),
        blocks.Heading("Labels to look at"),
        pictures.ContactSheet([_suspect(planted, key, looks) for key, looks in _suspects(odd)]),
        blocks.Details(
            "The commands",
            [
                blocks.Command(
                    f"chiasm duplicates raw-pixels --data {planted.folder}\n"
                    f"chiasm outliers {tour.trunk} --data {planted.folder} --limit {2 * NUM_MISLABELLED}"
                )
            ],
        ),
    )


def _figures(planted: Planted, copies: Duplicates, odd: Outliers, found: int, suspected: int) -> list[blocks.Figure]:
    told, hidden = len(odd.suspects), len(planted.mislabelled)
    by_chance = told * hidden / odd.num_pictures
    return [
        blocks.Figure("copies found", found, note=f"of {len(planted.copies)}"),
        blocks.Figure("groups", copies.num_groups, note=f"from cosine {copies.threshold:.3f}"),
        blocks.Figure("alike by chance", 100 * copies.alike_by_chance, "% of pairs", show=formats.number(3)),
        blocks.Figure("wrong labels found", suspected, note=f"of {hidden}, in {told} suspects; chance {by_chance:.1f}"),
    ]


def _plant(pictures_folder: Path, folder: Path) -> Planted:
    """A folder of some of the pictures with copies and wrong labels among them; one that exists is used again."""
    paths = sorted(pictures_folder.rglob("*.png"), key=lambda path: path.name)[:NUM_PICTURES]
    classes = sorted({class_of(path) for path in paths})
    step = max(len(paths) // (NUM_COPIES + NUM_MISLABELLED), 1)
    chosen = paths[::step][: NUM_COPIES + NUM_MISLABELLED]
    copied, moved = chosen[:NUM_COPIES], chosen[NUM_COPIES:]
    places = {path: f"{class_of(path)}/{path.name}" for path in paths}
    places |= {path: f"{_next(classes, class_of(path))}/{path.name}" for path in moved}
    copies = {f"{class_of(path)}/{path.stem}-copy.jpg": path for path in copied}
    if not folder.exists():
        with atomic_folder(folder) as part:
            for path, key in places.items():
                (part / key).parent.mkdir(exist_ok=True)
                shutil.copyfile(path, part / key)
            for number, (key, path) in enumerate(copies.items()):
                _save_altered(path, part / key, number)
    return Planted(folder, frozenset(copies), frozenset(places[path] for path in moved))


def _next(classes: list[str], name: str) -> str:
    return classes[(classes.index(name) + 1) % len(classes)]


def _save_altered(path: Path, copy: Path, number: int) -> None:
    """A copy as they come about: made smaller, cut at the border, or brightened, and saved as JPEG."""
    with Image.open(path) as image:
        width, height = image.size
        ways = (
            lambda: image.resize((3 * width // 4, 3 * height // 4), Image.Resampling.LANCZOS),
            lambda: image.crop((2, 2, width - 2, height - 2)),
            lambda: ImageEnhance.Brightness(image).enhance(1.15),
        )
        ways[number % len(ways)]().convert("RGB").save(copy, quality=85)


def _groups(folder: Path, found: Duplicates) -> blocks.Block:
    """The first groups, one after the other, the picture to keep first in each."""
    shown = [one for one in found.duplicates if one.group <= SHOWN_GROUPS][:SHOWN_PICTURES]
    return pictures.ContactSheet(
        [
            pictures.Picture.of(
                read_picture(folder / one.key),
                one.key,
                f"{one.group}: keep" if one.keep else f"{one.group}: {one.score:.3f}",
                _kept(one.keep),
            )
            for one in shown
        ]
    )


def _kept(keep: bool) -> pictures.Mark | None:
    return pictures.CORRECT if keep else None


def _suspects(odd: Outliers) -> list[tuple[str, str]]:
    return [(one.key, f"{one.label}, like {one.looks_like}") for one in odd.suspects[:SHOWN_SUSPECTS]]


def _suspect(planted: Planted, key: str, caption: str) -> pictures.Picture:
    mark = pictures.CORRECT if key in planted.mislabelled else pictures.WRONG
    return pictures.Picture.of(read_picture(planted.folder / key), key, caption, mark)
