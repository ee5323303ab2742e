"""One picture as a question: read, told as missing or broken, and embedded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import BrokenPictureError
from chiasm.core.predictors import Encoder
from chiasm.data.open import open_picture
from chiasm.tasks._places import beside, missing

# Shorter side at which the query is tried before the model sees it, so that a broken one is told as such.
_GLANCE_SIDE_PX = 32


def embed_picture(model: Encoder, query: Path) -> Float[np.ndarray, " D"]:
    """The vector of a picture file.

    Raises:
        InputError: there is no such file; the nearest name is offered.
        BrokenPictureError: it cannot be decoded.
    """
    if not query.exists():
        raise missing(query, "a picture", [path for path in beside(query) if path.is_file()], "check the path")
    picture = open_picture(query)
    picture.read(0, _GLANCE_SIDE_PX)
    embeddings = model.embed(picture)
    if not embeddings.keys:
        raise BrokenPictureError(*embeddings.skipped[0])
    return embeddings.vectors[0]
