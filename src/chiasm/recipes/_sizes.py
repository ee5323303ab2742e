"""What a trunk should look like for the pictures it is to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any, TypeVar

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.layers.patch import Convolutions

SIZES_PX = (32, 64, 96, 128, 160, 224)
NUM_LOOKS = 25
ConfigType = TypeVar("ConfigType", bound=TrunkConfig)


def fitted(trunk: ConfigType, data: Source, usual: Mapping[str, Any]) -> ConfigType:
    """The trunk's settings with what was not given chosen: sizes from the data, the rest as is usual for a method.

    Args:
        trunk: of any family; what was given is kept.
        data: what it is to learn from.
        usual: settings that suit the method; those that the family has not are passed over, and a stem of convolutions
            where the patch size is no power of two.
    """
    given = trunk.model_fields_set
    image_size = trunk.image_size if "image_size" in given else typical_size_px(data)
    usual_size = trunk.usual_patch_size(image_size)
    patch_size = trunk.patch_size if "patch_size" in given else _dividing(image_size, usual_size)
    if "image_size" not in given:
        image_size = max(1, image_size // patch_size) * patch_size
    chosen = _possible(usual, type(trunk), patch_size)
    kept = {name: getattr(trunk, name) for name in given}
    return type(trunk).parse({**chosen, **kept, "image_size": image_size, "patch_size": patch_size}, "the trunk")


def _dividing(image_size: int, usual: int) -> int:
    """The patch size nearest to the usual one that cuts a picture without a rest; the usual one where none is near."""
    near = [size for size in range(usual // 2, 2 * usual + 1) if size and image_size % size == 0]
    return min(near, key=lambda size: (abs(size - usual), size), default=usual)


def _possible(usual: Mapping[str, Any], family: type[TrunkConfig], patch_size: int) -> dict[str, Any]:
    """What is usual and can be with a family and a patch size."""
    possible = {name: value for name, value in usual.items() if name in family.model_fields}
    if isinstance(possible.get("stem"), Convolutions) and patch_size & (patch_size - 1):
        del possible["stem"]
    return possible


def typical_size_px(data: Source) -> int:
    """The largest usual size that does not exceed the typical shorter side of the pictures.

    Looks at pictures spread evenly over the source; broken ones are passed over, and 32 is the least.
    """
    step = max(1, len(data) // NUM_LOOKS)
    sides = []
    for index in range(0, len(data), step):
        try:
            sides.append(min(data.read(index).picture.shape[:2]))
        except BrokenPictureError:
            # The training loader meets it again and writes it down.
            continue
    typical = median(sides) if sides else SIZES_PX[0]
    return max([size for size in SIZES_PX if size <= typical], default=SIZES_PX[0])
