"""Pictures that tests draw, and the settings of a model small enough to train in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from chiasm.core.seeds import stream

CLASSES = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200)}
TINY_MODEL = {
    "--trunk.embed-dim": 32,
    "--trunk.depth": 2,
    "--trunk.num-heads": 2,
    "--trunk.image-size": 32,
    "--trunk.patch-size": 8,
    "--engine.batch-size": 16,
    "--engine.accelerator": "cpu",
    "--engine.num-probes": 2,
}
FAST = [str(word) for pair in TINY_MODEL.items() for word in pair]


def draw_pictures(folder: Path, each: int) -> Path:
    """Class folders of pictures of one colour with noise."""
    for name, colour in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            noise = stream(0, name, number).integers(-35, 36, (40, 48, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
    return folder
