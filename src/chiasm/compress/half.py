"""Half: store a model's weights in bfloat16, half the bytes, and measure what that does to its answers.

bfloat16 keeps float32's range and 8 of its 24 significant bits. On loading, the weights become float32 again, so the
model runs everywhere as before; only the file is smaller.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.files import check_new_folder
from chiasm.core.predictors import Record
from chiasm.data.pictures import PictureLoader
from chiasm.models._store import keep, load_model
from chiasm.models.encoder import Encoder, PictureModel
from chiasm.weights import artefact
from chiasm.weights.card import Card
from chiasm.weights.find import find

BATCH_SIZE = 64


class Halved(Record):
    """What halving did.

    Attributes:
        model: folder of the smaller artefact.
        bytes_before: of the weights in the precision that the model computes in.
        bytes_after: of the smaller file.
        num_pictures: that both models embedded.
        mean_cosine, least_cosine: between the two models' vectors of the same picture.
    """

    model: str
    bytes_before: int
    bytes_after: int
    num_pictures: int
    mean_cosine: float
    least_cosine: float


def half(model: str, data: Source, out: Path, num_pictures: int = 256) -> Halved:
    """Write a copy of a model whose weights take half the space.

    Args:
        model: folder, file or public name.
        data: pictures to compare the two models on.
        out: new folder for the smaller artefact.
        num_pictures: how many pictures to compare on at most.

    Raises:
        InputError: the model cannot be read, or `out` is not empty.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    if num_pictures < 1:
        raise InputError("a positive number of pictures", f"{num_pictures} came", "give at least 1")
    check_new_folder(out, "choose another --out")
    stored = find(model)
    before = load_model(stored, PictureModel)
    tensors = {name: _halved(value) for name, value in before.state_dict().items()}
    after = load_model(stored, PictureModel)
    after.load_state_dict(tensors)
    with torch.inference_mode():
        cosines = torch.cat(list(_cosines(before.encoder, after.encoder, data, num_pictures)))
    metrics = {"mean_cosine": float(cosines.mean()), "least_cosine": float(cosines.min())}
    origin = stored.origin()
    card = Card.now(
        title=f"{Path(model).name}, weights in bfloat16",
        data=f"as {model}; compared on {len(cosines)} pictures of {data.name}",
        command=shlex.join(["chiasm", "compress", "half", model, "--data", data.name, "--out", str(out)]),
        seconds=0.0,
        settings={"made from": f"{model} ({stored.fingerprint})"},
        metrics={**origin.metrics, **metrics},
        before=origin.card,
    )
    kept = keep(stored, before, tensors, out, card)
    return Halved(
        model=str(out),
        bytes_before=sum(value.nbytes for value in before.state_dict().values()),
        bytes_after=(kept.folder / artefact.WEIGHTS).stat().st_size,
        num_pictures=len(cosines),
        **metrics,
    )


def _halved(value: Tensor) -> Tensor:
    return value.to(torch.bfloat16) if value.is_floating_point() else value


def _cosines(before: Encoder, after: Encoder, data: Source, most: int) -> Iterator[Float[Tensor, " B"]]:
    """Cosine between the two models' vectors, batch by batch."""
    indices = range(min(most, len(data)))
    size_px = before.fit.side_px(before.trunk.image_size)
    loader = PictureLoader(data, size_px, BATCH_SIZE, fit=before.fit, indices=indices)
    for batch in loader:
        yield functional.cosine_similarity(before(batch.images), after(batch.images), dim=1)
