"""Why a model says what it says: heat maps over the patches of pictures, by methods that fit the model's parts.

- `relevance`: attention that raised the score, where all tokens of the trunk look at all.
- `rollout`: attention alone, whatever the score, where all tokens of the trunk look at all.
- `grad-cam`: patch tokens along the gradient, where the picture's vector is read from patches.

The maths is in `ops.relevance`. Captum is not used: its methods hook modules, while attention weights lie within one,
and Grad-CAM on tokens that are at hand anyway is one line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.explaining import HeadMaps, HeatMaps, HeatMethod, PatchTokens
from chiasm.data.pictures import PictureLoader
from chiasm.data.skipped import Skipped
from chiasm.layers.attention import recorded
from chiasm.models.encoder import Encoder as PictureToVector
from chiasm.ops.relevance import balanced, gathered, raising, relevance, rollout, shares, unit_sums, weighted_features
from chiasm.serve import _patches
from chiasm.serve._twin import twin
from chiasm.serve.encoder import PictureEncoder, open_encoder

# The weights of all blocks and their gradients are kept: 1 GB for a picture of 336 px in a trunk of large size.
BATCH_SIZE = 1


class PictureExplainer:
    """Implements `core.explaining.Explainer` over a model.

    Args:
        encoder: the model, ready to encode pictures.
    """

    def __init__(self, encoder: PictureEncoder) -> None:
        self.encoder = encoder

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        """The box (`xyxy` in pixels) of a picture that the model sees; it may reach beyond the picture."""
        return self.encoder.model.encoder.fit.seen(height_px, width_px)

    def heat(
        self, source: Source, directions: Float[np.ndarray, "B D"] | None, method: HeatMethod | None = None
    ) -> HeatMaps:
        """How much each patch has to do with a score: the product of the picture's vector and a direction.

        Args:
            source: the pictures.
            directions: the gradient of the score with respect to the vector, at its own length, of each picture of the
                source; None for no score.
            method: how; by default relevance where the model's parts allow it, else grad-cam, and rollout without
                directions.

        Raises:
            InputError: the model's parts do not allow the method, or it needs directions and there are none.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        model = twin(self.encoder.model.encoder)
        skipped = Skipped()
        size_px = model.fit.side_px(model.trunk.image_size)
        loader = PictureLoader(source, size_px, BATCH_SIZE, skipped, model.fit)
        heats: list[np.ndarray] = []
        keys: list[str] = []
        chosen = method
        for batch in loader:
            there = None if directions is None else torch.from_numpy(directions[batch.indices])
            seen = _look(model, batch.images.to(self.encoder.device), there)
            chosen = chosen or _default(seen, self.encoder.name)
            _check(chosen, seen, self.encoder.name)
            heat = unit_sums(METHODS[chosen].heat(seen)).unflatten(1, seen.grid)
            heats.append(heat.detach().cpu().numpy())
            keys += batch.keys
        return HeatMaps(np.concatenate(heats), tuple(keys), chosen or "rollout", skipped.entries)

    def patches(self, source: Source, size_px: int | None = None) -> PatchTokens:
        """The patch tokens of the readable pictures of a source, where the trunk ends; see `core.predictors`."""
        return _patches.patch_tokens(self.encoder, source, size_px)

    def heads(self, source: Source, size_px: int | None = None) -> HeadMaps:
        """Where the heads of the class token, or of the pool's query, look; see `core.predictors`."""
        return _patches.head_maps(self.encoder, source, size_px)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a forward pass left behind.

    Attributes:
        in_trunk: attention of the trunk's blocks, the first one first.
        in_pool: attention of the pool, where it has any.
        prefix, patches: tokens that the pool read.
        grid: of the patches.
        score: what is differentiated, one sum for the batch, since no picture sees another.
        has_direction: whether the score was asked for; without, it is the square of the vector's length.
    """

    in_trunk: tuple[Float[Tensor, "_ _ _ _"], ...]
    in_pool: tuple[Float[Tensor, "B A Q _"], ...]
    prefix: Float[Tensor, "B P D"]
    patches: Float[Tensor, "B N D"]
    grid: tuple[int, int]
    score: Float[Tensor, ""]
    has_direction: bool

    @property
    def sees_all(self) -> bool:
        """Whether the trunk attends, and everywhere among all of its tokens."""
        size = self.prefix.shape[1] + self.patches.shape[1]
        return bool(self.in_trunk) and all(each.shape[-2:] == (size, size) for each in self.in_trunk)

    @property
    def reads_patches(self) -> bool:
        """Whether the vector is made from patches."""
        return self.gradients(self.patches)[0] is not None

    def gradients(self, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        """Of the score with respect to each; None where it does not depend on it."""
        return torch.autograd.grad(self.score, tensors, retain_graph=True, allow_unused=True)

    def slopes(self, *tensors: Tensor) -> list[Tensor]:
        """The same, zero where the score does not depend on it."""
        found = zip(self.gradients(*tensors), tensors, strict=True)
        return [torch.zeros_like(tensor) if slope is None else slope for slope, tensor in found]

    def of_patches(self, heat: Float[Tensor, "B _"]) -> Float[Tensor, "B N"]:
        """The part of all tokens' heat that is the patches'."""
        return heat[:, self.prefix.shape[1] :]


@dataclass(frozen=True, slots=True)
class _Method:
    """One way to make heat maps.

    Attributes:
        heat: of each patch, at least 0.
        fits: whether the model's parts allow it.
        needs: what it takes of the model's parts, for the error.
        tells_classes: whether it depends on the score.
    """

    heat: Callable[[_Seen], Float[Tensor, "B N"]]
    fits: Callable[[_Seen], bool]
    needs: str
    tells_classes: bool


def _relevance(seen: _Seen) -> Float[Tensor, "B N"]:
    """Attention that raised the score, read by the pool."""
    weights = (*seen.in_trunk, *seen.in_pool)
    slopes = seen.slopes(*weights, seen.prefix, seen.patches)
    depth = len(seen.in_trunk)
    relevant = relevance(seen.in_trunk, slopes[:depth])
    if seen.in_pool:
        return seen.of_patches((raising(seen.in_pool[-1], slopes[len(weights) - 1]) @ balanced(relevant)).mean(dim=1))
    return seen.of_patches(_read(shares(torch.cat(slopes[-2:], dim=1)), gathered(relevant)))


def _rollout(seen: _Seen) -> Float[Tensor, "B N"]:
    """Attention alone, read by the pool."""
    mixed = rollout(seen.in_trunk)
    if seen.in_pool:
        return seen.of_patches((seen.in_pool[-1].to(mixed.dtype).mean(dim=1) @ mixed).mean(dim=1))
    return seen.of_patches(_read(shares(torch.cat(seen.slopes(seen.prefix, seen.patches), dim=1)), mixed))


def _grad_cam(seen: _Seen) -> Float[Tensor, "B N"]:
    """Patch tokens along the gradient that arrives at them."""
    return weighted_features(seen.patches, *seen.slopes(seen.patches))


def _read(rows: Float[Tensor, "B N"], matrix: Float[Tensor, "B N N"]) -> Float[Tensor, "B N"]:
    return (rows[:, None] @ matrix)[:, 0]


METHODS: dict[HeatMethod, _Method] = {
    "relevance": _Method(_relevance, lambda seen: seen.sees_all, "a trunk whose tokens all look at all", True),
    "rollout": _Method(_rollout, lambda seen: seen.sees_all, "a trunk whose tokens all look at all", False),
    "grad-cam": _Method(_grad_cam, lambda seen: seen.reads_patches, "a vector that is read from patches", True),
}
"""In the order in which they are preferred."""


@torch.enable_grad()
def _look(model: PictureToVector, images: UInt8[Tensor, "B 3 H W"], directions: Float[Tensor, "B D"] | None) -> _Seen:
    """One forward pass, with everything recorded."""
    pixels = model.trunk.normalize(images).requires_grad_()
    with recorded(model.trunk) as in_trunk:
        features = model.trunk(pixels)
    with recorded(model.pool) as in_pool:
        vectors = model.projection(model.pool(features))
    towards = vectors.detach() if directions is None else directions.to(vectors)
    return _Seen(
        in_trunk=tuple(in_trunk),
        in_pool=tuple(in_pool),
        prefix=features.prefix,
        patches=features.patches,
        grid=features.grid,
        score=(vectors * towards).sum(),
        has_direction=directions is not None,
    )


def _default(seen: _Seen, name: str) -> HeatMethod:
    """The first method that the model's parts allow and that tells classes apart if and only if there is a class.

    Raises:
        InputError: there is none.
    """
    for method, way in METHODS.items():
        if way.tells_classes == seen.has_direction and way.fits(seen):
            return method
    if seen.has_direction:
        raise InputError(
            f"{' or '.join(way.needs for way in METHODS.values() if way.tells_classes)}",
            f"{name} has neither",
            "take another model",
        )
    raise InputError(
        "a class to explain, or a trunk whose tokens all look at all",
        f"none came, and {name} has no such trunk",
        "name labels or give examples",
    )


def _check(method: HeatMethod, seen: _Seen, name: str) -> None:
    """Refuse a method that the model's parts do not allow, and one that explains a class where there is none.

    Raises:
        InputError: it is one of these.
    """
    way = METHODS[method]
    if way.tells_classes and not seen.has_direction:
        raise InputError(f"a class to explain by {method}", "none came", "name labels or give examples")
    if not way.fits(seen):
        able = [name for name, other in METHODS.items() if other.fits(seen)]
        raise InputError(
            f"{way.needs} for {method}", f"{name} has none", f"choose {' or '.join(able) or 'another model'}"
        )


def open_explainer(name: str) -> PictureExplainer:
    """Load what a text names (see `weights.find`) and make it ready to explain its answers.

    Raises:
        InputError: nothing usable is there, or the model does not embed pictures.
    """
    return PictureExplainer(open_encoder(name))
