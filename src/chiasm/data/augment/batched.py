"""Augmented views of a whole batch as tensor operations, on a GPU or a CPU.

Executes the same `ViewDraws` as `augment.cpu`. Crop, flip and resize are one product with a matrix per axis and
picture (the same triangle filter, which widens when the crop shrinks), the colours one affine map per picture, the blur
two depthwise convolutions with weights per picture. Values are rounded where the work on bytes rounds them, so resized
views differ by at most one level, which strong contrast and saturation may multiply afterwards.

Pictures of different sizes lie in the upper left corners of equally large canvases; what is beyond a picture gets no
weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor
from torch.nn.functional import conv2d, pad

from chiasm.data.augment import cpu
from chiasm.data.augment.sample import Crop, ViewDraws

MAX_SIDE_PX = 1536
"""Longer pictures are rendered on the processor: a single one would widen the canvases of all."""

_VALUES_AT_ONCE = 1 << 27
"""Of canvases in single precision, 512 MB; larger batches are rendered in parts."""


class Together:
    """Views of a batch that are made at once on a device, when all of its pictures are there.

    Threads only collect the pictures; who brings the last one lays all of them on canvases, from where they travel to
    the device without being waited for.

    Args:
        draws: one for each view, of as many pictures as will come.
        device: where the views are made and stay.
    """

    def __init__(self, draws: Sequence[ViewDraws], device: torch.device) -> None:
        self._draws = tuple(draws)
        self._device = device
        self._pictures = [np.empty((0, 0, 3), np.uint8)] * len(draws[0])
        self._crops: list[list[Crop]] = [[Crop(0, 0, 1, 1)] * len(each) for each in draws]
        self._alone: dict[int, tuple[Tensor, ...]] = {}
        self._canvases = torch.empty(0, dtype=torch.uint8)
        self._missing = len(draws[0])
        self._lock = Lock()

    def put(self, place: int, picture: UInt8[np.ndarray, "H W 3"]) -> None:
        """Keep one picture, or render it at once if it is too long for a canvas."""
        if max(picture.shape[:2]) > MAX_SIDE_PX:
            one_row = cpu.OneByOne([draws.rows(slice(place, place + 1)) for draws in self._draws])
            one_row.put(0, picture)
            self._alone[place] = one_row.views()
        else:
            self._pictures[place] = picture
            for draws, crops in zip(self._draws, self._crops, strict=True):
                crops[place] = draws.crop(place, picture.shape[0], picture.shape[1])
        with self._lock:
            self._missing -= 1
            complete = self._missing == 0
        if complete:
            self._canvases = self._laid_out()

    def _laid_out(self) -> UInt8[Tensor, "B H W 3"]:
        height, width = (max(1, *(picture.shape[axis] for picture in self._pictures)) for axis in (0, 1))
        shape = (len(self._pictures), height, width, 3)
        # Memory that is pinned can travel while the processor goes on.
        canvases = torch.empty(shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        for canvas, picture in zip(canvases.numpy(), self._pictures, strict=True):
            canvas[: picture.shape[0], : picture.shape[1]] = picture
        self._pictures.clear()
        return canvases

    def views(self) -> tuple[UInt8[Tensor, "B 3 _ _"], ...]:
        """One tensor for each view, on the device, once all pictures were put."""
        canvases = self._canvases.to(self._device, non_blocking=True)
        at_once = max(1, _VALUES_AT_ONCE // canvases[0].numel())
        starts = range(0, len(canvases), at_once)
        parts = [self._rendered(canvases[first : first + at_once], first) for first in starts]
        views = tuple(torch.cat(part) for part in zip(*parts, strict=True))
        for place, rendered in self._alone.items():
            for images, view in zip(views, rendered, strict=True):
                images[place] = view[0]
        return views

    def _rendered(self, canvases: UInt8[Tensor, "B H W 3"], first: int) -> list[UInt8[Tensor, "B 3 _ _"]]:
        """The views of some rows, from `first` on."""
        pixels, rows = canvases.permute(0, 3, 1, 2).float(), slice(first, first + len(canvases))
        each = zip(self._draws, self._crops, strict=True)
        return [render(pixels, draws.rows(rows), crops[rows]) for draws, crops in each]


def render(pixels: Float32[Tensor, "B 3 H W"], draws: ViewDraws, crops: Sequence[Crop]) -> UInt8[Tensor, "B 3 _ _"]:
    """Execute all draws, row b on picture b, on the device the pictures are on.

    Args:
        pixels: RGB, 0 to 255, as real numbers, so that several views share the conversion.
        draws: of as many pictures.
        crops: the part of each picture that `ViewDraws.crop` gives for its own size.
    """
    views = _crop_and_resize(pixels, draws, crops)
    views = _recolour(views, draws)
    views = _blur(views, draws)
    if draws.solarises.any():
        chosen = torch.from_numpy(draws.solarises).to(views.device)
        views = torch.where(chosen[:, None, None, None], torch.minimum(views, 255 - views), views)
    return views.to(torch.uint8)


def _crop_and_resize(
    pixels: Float32[Tensor, "B 3 H W"], draws: ViewDraws, crops: Sequence[Crop]
) -> Float[Tensor, "B 3 _ _"]:
    height, width = pixels.shape[2:]
    boxes = np.array([(crop.top_px, crop.height_px, crop.left_px, crop.width_px) for crop in crops])
    top, tall, left, wide = torch.from_numpy(boxes).to(pixels.device).unbind(dim=1)
    flips = torch.from_numpy(draws.flips).to(pixels.device)
    rows = _resampling(height, draws.size_px, top, tall, torch.zeros_like(flips))
    columns = _resampling(width, draws.size_px, left, wide, flips)
    return _to_level(rows[:, None] @ pixels @ columns[:, None].mT)


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
    # Made single before they travel: not every device has double precision.
    mixes = torch.from_numpy(draws.colours.mixes).float().to(views.device)
    mean_mixes = torch.from_numpy(draws.colours.mean_mixes).float().to(views.device)
    offsets = mean_mixes @ views.mean(dim=(2, 3))[:, :, None]
    # Views that keep their colours have the identity and no offset here.
    return _to_level((mixes @ views.flatten(2) + offsets).unflatten(2, views.shape[2:]))


def _blur(views: Float[Tensor, "B 3 H W"], draws: ViewDraws) -> Float[Tensor, "B 3 H W"]:
    """Blur the rows that are to be blurred, with no more taps than the widest of them needs."""
    chosen = np.flatnonzero(draws.blur_radii_px)
    if not len(chosen):
        return views
    reach, centre = int(draws.blur_radii_px[chosen].max()), draws.blur_taps.shape[1] // 2
    taps = torch.from_numpy(draws.blur_taps[chosen, centre - reach : centre + reach + 1]).to(views.device)
    rows = torch.from_numpy(chosen).to(views.device)
    return views.index_copy(0, rows, _convolve(views[rows], taps))


def _convolve(views: Float[Tensor, "B 3 H W"], taps: Float32[Tensor, "B _"]) -> Float[Tensor, "B 3 H W"]:
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
