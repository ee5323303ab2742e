"""What a checkpoint says about pictures: how they become squares and which numbers their pixels become.

The settings are those of `preprocessor_config.json` (transformers), `pretrained_cfg` (timm) or `preprocess_cfg`
(open_clip); where a checkpoint has none, its layout says what it was made for. What a processor's settings leave out is
what its class takes by itself. Of transformers' two sets of processors those on Pillow are followed; the ones on
torchvision crop alike and differ by one level where they resize, and by one pixel where an odd border is filled up.
DINOv3's resizes numbers that were not rounded to 8 bits, so that its squares differ from ours by half a level.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from chiasm.core.errors import InputError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic")
_CONVNEXT_WHOLE_PX = 384
"""From this side on, ConvNeXt's processor takes whole pictures, proportions given up."""


@dataclass(frozen=True, slots=True)
class _Usual:
    """What a class of processors does unless its settings say otherwise.

    Attributes:
        size: as in the settings.
        crops: whether the middle is cut out.
        filter: number of the filter of the resampling, as Pillow counts them.
        number_is_square: whether a size that is a single number means both sides, not the shorter one.
    """

    size: Mapping[str, int]
    crops: bool
    filter: int
    number_is_square: bool


_SHORTER = {"shortest_edge": 224}
_BOTH = {"height": 224, "width": 224}
_USUAL = {
    "Blip": _Usual({"height": 384, "width": 384}, crops=False, filter=3, number_is_square=True),
    "CLIP": _Usual(_SHORTER, crops=True, filter=3, number_is_square=False),
    "Bit": _Usual(_SHORTER, crops=True, filter=3, number_is_square=False),
    "ViT": _Usual(_BOTH, crops=False, filter=2, number_is_square=True),
    "DeiT": _Usual({"height": 256, "width": 256}, crops=True, filter=3, number_is_square=True),
    "Siglip": _Usual(_BOTH, crops=False, filter=3, number_is_square=False),
    "ConvNext": _Usual({"shortest_edge": 384}, crops=False, filter=3, number_is_square=False),
    "DINOv3ViT": _Usual(_BOTH, crops=False, filter=2, number_is_square=True),
}


def channels(processor: Mapping[str, Any], mean: Sequence[float], std: Sequence[float]) -> dict[str, tuple[float, ...]]:
    """The trunk's `mean` and `std`: the processor's own, else those given.

    A processor that scales pixels otherwise than from 255 to 1, or not at all, has its factor taken into both.
    """
    if processor.get("do_normalize", True):
        mean, std = processor.get("image_mean") or mean, processor.get("image_std") or std
    else:
        mean, std = (0.0,) * len(mean), (1.0,) * len(std)
    factor = processor.get("rescale_factor") or 1 / 255
    stretch = 255 * (factor if processor.get("do_rescale", True) else 1.0)
    if abs(stretch - 1) < 1e-9:
        return {"mean": tuple(mean), "std": tuple(std)}
    return {"mean": tuple(value / stretch for value in mean), "std": tuple(value / stretch for value in std)}


def fit(processor: Mapping[str, Any], size_px: int, otherwise: dict[str, Any]) -> dict[str, Any]:
    """How a picture becomes a square: as a processor of transformers does it, else as given.

    Args:
        processor: its settings; empty where there are none.
        size_px: side of the pictures that the trunk was made for.
        otherwise: the fit where there are no settings.

    Raises:
        InputError: the processor does not make squares, or has a filter that is not known.
    """
    kind = _kind(processor)
    usual = _USUAL.get(kind)
    if usual is None and processor.get("size") is None:
        return otherwise
    crops = bool(_given(processor, "do_center_crop", usual.crops if usual else False))
    if usual is None:
        usual = _Usual({}, crops=crops, filter=2, number_is_square=not crops)
    filter_ = _filter(_given(processor, "resample", usual.filter))
    crop_px = _square(_given(processor, "crop_size", size_px)) if crops else None
    if not _given(processor, "do_resize", True):
        return _unresized(crop_px, size_px, filter_)
    size = _sides(_given(processor, "size", usual.size), usual.number_is_square)
    if kind == "ConvNext":
        return _convnext(size, processor.get("crop_pct") or 224 / 256, filter_)
    if "shortest_edge" in size and "longest_edge" not in size:
        return _reference("shorter_side", size["shortest_edge"], crop_px, filter_)
    return _reference("both_sides", _square(size), crop_px, filter_)


def timm_fit(pretrained_cfg: Mapping[str, Any], size_px: int) -> dict[str, Any]:
    """How a picture becomes a square as timm's evaluation does it, from the settings that it keeps with its weights.

    Args:
        pretrained_cfg: these settings; may be empty.
        size_px: side of the pictures that the trunk was made for.

    Raises:
        InputError: the settings have a filter that is not known.
    """
    resize_px = floor(size_px / (pretrained_cfg.get("crop_pct") or 0.875))
    filter_ = _filter(pretrained_cfg.get("interpolation") or "bicubic")
    kind = {"squash": "both_sides", "border": "longer_side"}.get(pretrained_cfg.get("crop_mode", ""), "shorter_side")
    found = {**_reference(kind, resize_px, size_px, filter_), "middle": "even"}
    if kind == "longer_side":
        found["fill"] = tuple(round(255 * value) for value in pretrained_cfg.get("mean") or IMAGENET_MEAN)
    return found


def open_clip_fit(preprocess_cfg: Mapping[str, Any], size_px: int) -> dict[str, Any]:
    """How a picture becomes a square as open_clip's evaluation does it; the settings may be empty.

    Raises:
        InputError: pictures are not square.
    """
    side_px = _square(preprocess_cfg.get("size") or size_px)
    # "random", of training, is bicubic in evaluation.
    filter_ = "bilinear" if preprocess_cfg.get("interpolation") == "bilinear" else "bicubic"
    kind = {"squash": "both_sides", "longest": "longer_side"}.get(preprocess_cfg.get("resize_mode", ""), "shorter_side")
    found = {**_reference(kind, side_px, side_px, filter_), "middle": "even"}
    if kind == "longer_side":
        found["fill"] = (preprocess_cfg.get("fill_color") or 0,) * 3
    return found


def whole_patches(found: dict[str, Any], trunk_px: int) -> dict[str, Any]:
    """The fit of a model whose patches do not fill its pictures (So400m: 27 patches of 14 px in 384 px).

    What is left over on the right and below is never seen, so the square is as large as the patches.

    Args:
        found: the fit of the whole picture.
        trunk_px: side of the square that the patches fill.
    """
    if found["kind"] != "both_sides" or found["resize_px"] != found["size_px"] or found["size_px"] <= trunk_px:
        return found
    return {**found, "size_px": trunk_px, "middle": "start"}


def _reference(kind: str, resize_px: int, crop_px: int | None, filter_: str) -> dict[str, Any]:
    """Settings of a `data.reference_fits` fit; without a crop the square is what is resized to."""
    return {"kind": kind, "resize_px": resize_px, "size_px": crop_px or resize_px, "filter": filter_}


def _unresized(crop_px: int | None, size_px: int, filter_: str) -> dict[str, Any]:
    # A processor that neither resizes nor crops is only given pictures of the right size, which this leaves as they
    # are; others become usable.
    if crop_px is None:
        return _reference("both_sides", size_px, None, filter_)
    return {"kind": "own_size", "size_px": crop_px}


def _convnext(size: Mapping[str, int], share: float, filter_: str) -> dict[str, Any]:
    side_px = size["shortest_edge"] if "shortest_edge" in size else _square(size)
    if side_px >= _CONVNEXT_WHOLE_PX:
        return _reference("both_sides", side_px, None, filter_)
    return _reference("shorter_side", int(side_px / share), side_px, filter_)


def _kind(processor: Mapping[str, Any]) -> str:
    """The processor's class without the endings that changed over the years."""
    name = processor.get("image_processor_type") or processor.get("feature_extractor_type") or ""
    return re.sub(r"(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", name)


def _given(processor: Mapping[str, Any], key: str, usual: Any) -> Any:
    """A setting; one that is null is as good as none."""
    value = processor.get(key)
    return usual if value is None else value


def _sides(size: Any, number_is_square: bool) -> Mapping[str, int]:
    """A size as named sides: files hold numbers, pairs and objects."""
    if isinstance(size, Mapping):
        return size
    if isinstance(size, Sequence) and len(size) == 2:
        return {"height": size[0], "width": size[1]}
    number = size[0] if isinstance(size, Sequence) else size
    return {"height": number, "width": number} if number_is_square else {"shortest_edge": number}


def _square(size: Any) -> int:
    """The side of a size that is a square.

    Raises:
        InputError: it is none.
    """
    sides = _sides(size, number_is_square=True)
    height, width = sides.get("height"), sides.get("width")
    if height is None or height != width:
        raise InputError("a processor that makes square pictures", f"one with the size {size} came", "choose another")
    return height


def _filter(given: int | str) -> str:
    """Name of a filter of the resampling, which transformers tells by Pillow's number."""
    if isinstance(given, int) and 0 <= given < len(_FILTERS):
        return _FILTERS[given]
    if given in _FILTERS:
        return str(given)
    raise InputError(f"a resampling filter among {', '.join(_FILTERS)}", f"{given!r} came", "choose another checkpoint")
