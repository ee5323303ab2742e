"""What a trunk should look like for the pictures it is to learn from."""

from __future__ import annotations

from statistics import median

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Source
from chiasm.layers.patch import Convolutions
from chiasm.trunks import vit

SIZES_PX = (32, 64, 96, 128, 160, 224)
NUM_LOOKS = 25


def fitted(trunk: vit.Config, data: Source) -> vit.Config:
    """The trunk's settings with what was not given chosen: sizes from the data, and a stem of convolutions.

    Short runs learn much more with such a stem (docs/results.md); objectives that hide patches need a linear one.
    """
    given = trunk.model_fields_set
    image_size = trunk.image_size if "image_size" in given else typical_size_px(data)
    patch_size = trunk.patch_size if "patch_size" in given else patch_size_px(image_size)
    is_power_of_two = patch_size & (patch_size - 1) == 0
    stem = trunk.stem if "stem" in given or not is_power_of_two else Convolutions()
    kept = {name: getattr(trunk, name) for name in given}
    return vit.Config.parse({**kept, "image_size": image_size, "patch_size": patch_size, "stem": stem}, "the trunk")


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


def patch_size_px(image_size: int) -> int:
    """A patch that cuts a picture into 16 to 196 tokens.

    Coarse on purpose, so that a small trunk on a CPU sees every picture several times within minutes. For long runs
    smaller patches are worth their time.
    """
    return 8 if image_size <= 64 else 16
