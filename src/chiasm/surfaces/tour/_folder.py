"""A folder of pictures as a person would have it: one folder per class, PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from chiasm.core.files import atomic_folder
from chiasm.data.world.world import World
from chiasm.surfaces.tour._run import PICTURE_PX, Tour

NUM_PICTURES = 1200


def own_pictures(tour: Tour) -> Path:
    """The folder of pictures that stands for a person's own, shared by the chapters."""
    return draw_folder(tour.out / "pictures", "train", NUM_PICTURES, tour.seed)


def draw_folder(folder: Path, split: str, num_pictures: int, seed: int, size_px: int = PICTURE_PX) -> Path:
    """Write single objects of the world into class folders; a folder that exists is left as it is."""
    if folder.exists():
        return folder
    # Another seed than the pictures that the trunk learned from.
    source = World(split=split, size_px=size_px, seed=seed + 1, close_up=True)
    with atomic_folder(folder) as part:
        for index in range(num_pictures):
            place = part / source.classes[source.label(index)]
            place.mkdir(exist_ok=True)
            Image.fromarray(source.picture(index)).save(place / f"{index:05d}.png")
    return folder


def read_picture(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """One of these pictures."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def class_of(path: Path) -> str:
    """The class of a picture: the name of its folder."""
    return path.parent.name
