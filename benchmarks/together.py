"""Everything about one picture against one encoding of it: classify, caption, ask and search together, in one run.

    export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=5000   # threads wait as those of the command do
    python benchmarks/together.py [MODEL] [--pictures 30] [--rounds 5]
    python benchmarks/together.py --trunk base --image-size 224

Without `--trunk`, MODEL (by default `starter`) is asked; with it, a model of random weights with a trunk of that size,
beside which the fixed costs of a task are small. Every picture is new to the model. In turns, picture by picture:

    encode     its vector alone
    decode     its caption and an answer, when the model has already seen it: the writing alone
    together   classify by names, caption, ask and search, from a picture that was not seen

Medians over all pictures; the first ratio is (together - decode) / encode, the second together / (encode + decode).
What they are above 1 are the files that are read, the index that is searched, and Python.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from chiasm.core.example import Source
from chiasm.data.open import open_source
from chiasm.data.world.world import World
from chiasm.models import vision_language
from chiasm.models._store import save_model
from chiasm.serve.writer import PictureWriter, open_writer
from chiasm.tasks.ask import ask
from chiasm.tasks.caption import caption
from chiasm.tasks.classify import classify
from chiasm.tasks.index import index
from chiasm.tasks.search import search
from chiasm.trunks import vit
from chiasm.weights.card import Card
from chiasm.weights.find import find

AIM = 1.3
QUESTION = "How many objects are there?"
NUM_INDEXED = 200


def random_model(folder: Path, size: str, image_size: int) -> str:
    """A model wired as the starter is, with its vocabulary, a larger trunk and random weights."""
    starter = find("starter")
    config = vision_language.Config.model_validate(dict(starter.config))
    trunk = vit.Config.model_validate({"size": size, "image_size": image_size, "patch_size": 16})
    image = config.image.model_copy(update={"trunk": trunk})
    torch.manual_seed(0)
    model = config.model_copy(update={"image": image}).build()
    save_model(model, folder, Card.now("random", "none", "none", 0.0, {}, {}), starter.tokenizer())
    return str(folder)


def write_pictures(folder: Path, size_px: int, count: int) -> list[Source]:
    """Files with a picture of the world each, as sources of one picture."""
    world = World(split="compositional", size_px=size_px, seed=9)
    folder.mkdir()
    paths = [folder / f"{number:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(world.picture(number)).save(path)
    return [open_source(str(path)) for path in paths]


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="starter")
    parser.add_argument("--trunk")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        name = random_model(root / "model", given.trunk, given.image_size) if given.trunk else given.model
        writer = open_writer(name)
        size_px = writer.encoder.model.encoder.trunk.image_size
        labels = World().classes
        indexed = open_source(f"world:test?size={size_px}&length={NUM_INDEXED}")
        index(writer.encoder, indexed, root / "index")
        sources = write_pictures(root / "pictures", size_px, given.pictures * given.rounds * 2)
        # Words and libraries are met before anything is measured.
        everything(writer, sources[0], Path(sources[0].name), root / "index", labels)
        rows: list[tuple[float, float, float]] = []
        for one, other in zip(sources[1::2], sources[2::2], strict=False):
            encode = seconds(lambda one=one: writer.encoder.embed(one))
            decode = seconds(lambda one=one: (caption(writer, one), ask(writer, one, QUESTION)))
            path = Path(other.name)
            rows.append(
                (
                    encode,
                    decode,
                    seconds(lambda other=other, path=path: everything(writer, other, path, root / "index", labels)),
                )
            )
    encode, decode, together = 1e3 * np.median(np.array(rows), axis=0)
    print(f"{name}: {len(rows)} pictures of {size_px} px")
    print(f"encode {encode:.1f} ms, decode {decode:.1f} ms, together {together:.1f} ms")
    print(f"(together - decode) / encode = {(together - decode) / encode:.2f} (aim: at most {AIM})")
    print(f"together / (encode + decode) = {together / (encode + decode):.2f}")


def everything(writer: PictureWriter, source: Source, path: Path, place: Path, labels: tuple[str, ...]) -> None:
    """All four tasks about one picture."""
    classify(writer.encoder, source, labels=labels, bootstrap=1)
    caption(writer, source)
    ask(writer, source, QUESTION)
    search(writer.encoder, place, query=path, limit=5)


if __name__ == "__main__":
    main()
