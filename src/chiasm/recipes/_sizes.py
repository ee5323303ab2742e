"""How large a trunk's pictures should be, told from the pictures themselves."""

from __future__ import annotations

from statistics import median

from chiasm.core.errors import BrokenPictureError
from chiasm.core.example import Source
from chiasm.trunks import vit

SIZES_PX = (32, 64, 96, 128, 160, 224)
NUM_LOOKS = 25


def fitted(trunk: vit.Config, data: Source) -> vit.Config:
    """The trunk's settings with the sizes that were not given explicitly chosen from the data."""
    given = trunk.model_fields_set
    image_size = trunk.image_size if "image_size" in given else typical_size_px(data)
    patch_size = trunk.patch_size if "patch_size" in given else patch_size_px(image_size)
    kept = {name: getattr(trunk, name) for name in given}
    return vit.Config.parse({**kept, "image_size": image_size, "patch_size": patch_size}, "the trunk")


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
