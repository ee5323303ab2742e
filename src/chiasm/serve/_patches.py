"""What patches are to a model: their tokens where the trunk ends, and where the heads of its last look at them look.

Paper: Caron et al., 2021, arXiv 2104.14294, figure 1 (attention of the class token in the last block, head by head);
Oquab et al., 2023, arXiv 2304.07193, section 7.5 (tokens of patches).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.explaining import HeadMaps, PatchTokens
from chiasm.core.features import Features
from chiasm.data.pictures import PictureLoader
from chiasm.data.skipped import Skipped
from chiasm.layers.attention import recorded
from chiasm.models.encoder import Encoder as PictureToVector
from chiasm.serve._twin import twin
from chiasm.serve.encoder import PictureEncoder

# Tokens grow with the square of the pictures' side: four pictures of 1024 px in a trunk of large size take 1 GB.
BATCH_SIZE = 4
MOST_BYTES = 2 << 30
"""Of all pictures and their tokens or maps, which are looked at together."""
_CLASS_TOKEN, _QUERY = "the class token", "the query of the pool"


def patch_tokens(encoder: PictureEncoder, source: Source, size_px: int | None) -> PatchTokens:
    """The patch tokens of the readable pictures of a source; as `core.explaining.Explainer.patches`."""
    trunk = twin(encoder.model.encoder.trunk)

    def look(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B h w D"]:
        return trunk(trunk.normalize(images)).patch_map().permute(0, 2, 3, 1)

    squares, tokens, keys, skipped = _looked(encoder, source, size_px, look)
    return PatchTokens(squares, tokens, keys, skipped)


def head_maps(encoder: PictureEncoder, source: Source, size_px: int | None) -> HeadMaps:
    """Where the heads of the class token or of the pool's query look; as `core.explaining.Explainer.heads`."""
    model = twin(encoder.model.encoder)
    looks = ""

    def look(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B A h w"]:
        nonlocal looks
        attention, looks = _last_look(model, images, encoder.name)
        return attention

    squares, attention, keys, skipped = _looked(encoder, source, size_px, look)
    return HeadMaps(squares, attention, looks, keys, skipped)


def _last_look(
    model: PictureToVector, images: UInt8[Tensor, "B 3 H W"], name: str
) -> tuple[Float[Tensor, "B A h w"], str]:
    """Attention from the token that the vector is made from to the patches, and what that token is.

    Raises:
        InputError: there is no such token.
    """
    with recorded(model.trunk) as in_trunk:
        features = model.trunk(model.trunk.normalize(images))
    if features.num_class_tokens and in_trunk and in_trunk[-1].shape[-2] == _num_tokens(features):
        return _of_patches(in_trunk[-1], features), _CLASS_TOKEN
    with recorded(model.pool) as in_pool:
        model.pool(features)
    if in_pool:
        return _of_patches(in_pool[-1], features), _QUERY
    raise InputError(
        "a class token, or a pool with a query, whose heads look at the patches",
        f"{name} has neither: its vector is an average that no head looks for",
        "choose pca or similarity",
    )


def _num_tokens(features: Features) -> int:
    return features.prefix.shape[1] + features.patches.shape[1]


def _of_patches(weights: Float[Tensor, "B A Q _"], features: Features) -> Float[Tensor, "B A h w"]:
    """The first row's share of each patch."""
    return weights[:, :, 0, features.prefix.shape[1] :].unflatten(2, features.grid)


@torch.inference_mode()
def _looked(
    encoder: PictureEncoder, source: Source, size_px: int | None, look: Callable[[Tensor], Tensor]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Squares, what `look` found in each, keys, and what could not be read.

    Raises:
        InputError: it would not fit into memory.
        TooManyBrokenError: more of the source is broken than is tolerated.
    """
    model = encoder.model.encoder
    side_px = model.fit.side_px(model.trunk.image_size) if size_px is None else size_px
    skipped = Skipped()
    squares: list[np.ndarray] = []
    found: list[np.ndarray] = []
    keys: list[str] = []
    for batch in PictureLoader(source, side_px, BATCH_SIZE, skipped, model.fit):
        found.append(look(batch.images.to(encoder.device)).cpu().numpy())
        squares.append(batch.images.permute(0, 2, 3, 1).numpy())
        _check_room(found[0][0].nbytes + squares[0][0].nbytes, len(source))
        keys += batch.keys
    return np.concatenate(squares), np.concatenate(found), tuple(keys), skipped.entries


def _check_room(bytes_each: int, num_pictures: int) -> None:
    """Refuse what would not fit into memory, after the first pictures.

    Raises:
        InputError: it would not.
    """
    if bytes_each * num_pictures > MOST_BYTES:
        raise InputError(
            f"at most {MOST_BYTES // bytes_each} pictures of this size, whose patches fit into {MOST_BYTES >> 30} GB",
            f"{num_pictures} came",
            "give fewer pictures or a smaller size",
        )
