"""Augmented views of a whole batch of equally large pictures as tensor operations, on a GPU or a CPU.

Executes the same `ViewDraws` as `augment.cpu`. Crop, flip and resize are one product with a matrix per axis and
picture (the same triangle filter, which widens when the crop shrinks), the colours one affine map per picture, the blur
two depthwise convolutions with weights per picture. Values are rounded where the work on bytes rounds them, so both
agree to one or two levels.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor
from torch.nn.functional import conv2d, pad

from chiasm.data.augment.sample import ViewDraws


def render(pictures: UInt8[Tensor, "B 3 H W"], draws: ViewDraws) -> UInt8[Tensor, "B 3 _ _"]:
    """Execute all draws, row b on picture b, on the device the pictures are on.

    Args:
        pictures: RGB, 0 to 255, all of one size.
        draws: of as many pictures.
    """
    views = _crop_and_resize(pictures, draws)
    views = _recolour(views, draws)
    if draws.blur_taps.shape[1] > 1:
        views = _blur(views, torch.from_numpy(draws.blur_taps).to(views.device))
    if draws.solarises.any():
        chosen = torch.from_numpy(draws.solarises).to(views.device)
        views = torch.where(chosen[:, None, None, None], torch.minimum(views, 255 - views), views)
    return views.to(torch.uint8)


def _crop_and_resize(pictures: UInt8[Tensor, "B 3 H W"], draws: ViewDraws) -> Float[Tensor, "B 3 _ _"]:
    height, width = pictures.shape[2:]
    crops = [draws.crop(row, height, width) for row in range(len(pictures))]
    boxes = np.array([(crop.top_px, crop.height_px, crop.left_px, crop.width_px) for crop in crops])
    top, tall, left, wide = torch.from_numpy(boxes).to(pictures.device).unbind(dim=1)
    flips = torch.from_numpy(draws.flips).to(pictures.device)
    rows = _resampling(height, draws.size_px, top, tall, torch.zeros_like(flips))
    columns = _resampling(width, draws.size_px, left, wide, flips)
    pixels = rows[:, None] @ pictures.float() @ columns[:, None].mT
    return _to_level(pixels)


def _resampling(
    length_px: int,
    size_px: int,
    starts_px: Int[Tensor, " B"],
    lengths_px: Int[Tensor, " B"],
    flips: Bool[Tensor, " B"],
) -> Float[Tensor, "B _ _"]:
    """One matrix per picture, [B, size, length]: a triangle filter over the part of an axis that starts at `starts_px`.

    Pixels beyond the part get no weight, as if it had been cut out before.
    """
    device = starts_px.device
    starts, lengths = starts_px[:, None, None].float(), lengths_px[:, None, None].float()
    scale = lengths / size_px
    targets = torch.arange(size_px, device=device, dtype=torch.float32).expand(len(flips), size_px)
    targets = torch.where(flips[:, None], size_px - 1 - targets, targets)[:, :, None]
    centres = starts + (targets + 0.5) * scale
    sources = torch.arange(length_px, device=device, dtype=torch.float32) + 0.5
    weights = (1 - (sources - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    weights = weights * ((sources > starts) & (sources < starts + lengths))
    return weights / weights.sum(dim=2, keepdim=True)


def _recolour(views: Float[Tensor, "B 3 H W"], draws: ViewDraws) -> Float[Tensor, "B 3 H W"]:
    if not draws.recolours.any():
        return views
    mixes = torch.from_numpy(draws.colours.mixes).to(views)
    mean_mixes = torch.from_numpy(draws.colours.mean_mixes).to(views)
    offsets = mean_mixes @ views.mean(dim=(2, 3))[:, :, None]
    # Views that keep their colours have the identity and no offset here.
    return _to_level((mixes @ views.flatten(2) + offsets).unflatten(2, views.shape[2:]))


def _blur(views: Float[Tensor, "B 3 H W"], taps: Float32[Tensor, "B _"]) -> Float[Tensor, "B 3 H W"]:
    """Depthwise convolution along each axis; the batch is laid out as channels so that each picture has its weights."""
    num_views, num_channels, height, width = views.shape
    num_planes, reach = num_views * num_channels, taps.shape[1] // 2
    weights = taps.repeat_interleave(num_channels, dim=0)[:, None]
    planes = pad(views.reshape(1, num_planes, height, width), (reach, reach, reach, reach), mode="reflect")
    planes = conv2d(planes, weights[:, :, :, None], groups=num_planes)
    planes = conv2d(planes, weights[:, :, None, :], groups=num_planes)
    return _to_level(planes.reshape(views.shape))


def _to_level(values: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """The nearest of 0 to 255, halves upwards."""
    return (values + 0.5).floor().clamp(0, 255)
