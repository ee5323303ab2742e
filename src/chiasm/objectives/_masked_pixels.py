"""What objectives that predict hidden pixels share: the view and its mask, the figures, the pictures to look at.

Paper: He et al., 2021, arXiv 2111.06377; Xie et al., 2021, arXiv 2111.09886.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.protocols import Losses, Objective, Trunk
from chiasm.core.views import Masking, RandomMask, Views, ViewSpec

LEAST_EXPLAINED = 0.01
"""Share of the flat answer's loss; below it, nothing that is hidden is told from anything else."""


class MaskedPixels(Objective):
    """A trunk that learns by telling the pixels of hidden patches.

    Args:
        trunk: what learns.
        mask: which patches are hidden.
        min_area: smallest share of a picture that its view shows.

    Raises:
        InputError: the mask hides nothing or everything.
    """

    def __init__(self, trunk: Trunk, mask: RandomMask, min_area: float) -> None:
        super().__init__()
        self.trunk = trunk
        self._grid = -(-trunk.image_size // trunk.patch_size)
        self._mask = _checked(mask, self._grid)
        self._min_area = min_area

    def views(self) -> tuple[ViewSpec, ...]:
        """One view: a crop, perhaps flipped, with its colours as they are."""
        size_px, area = self.trunk.image_size, self._min_area
        masking = Masking(how=self._mask, grid=self._grid)
        return (ViewSpec(size_px=size_px, min_area=area, jitter=None, grey=0.0, blur=None, masking=masking),)

    def doubt(self, terms: Mapping[str, float]) -> str | None:
        """Whether the answer is the same for everything that is hidden."""
        explained = terms["explained"]
        if explained >= LEAST_EXPLAINED:
            return None
        return f"hidden pixels are told no better than by one number for all of them (explained {explained:.3f})"

    @abstractmethod
    def reconstruct(self, batch: Views) -> UInt8[Tensor, "B 3 H W"]:
        """The pictures of a batch with what is hidden filled in, RGB 0 to 255; to look at.

        Nothing is changed; what is dropped at random in training is dropped here too unless `eval` was called.
        """


def _checked(mask: RandomMask, grid: int) -> RandomMask:
    """A mask that hides something and leaves something."""
    total = (-(-grid // mask.unit)) ** 2
    num_hidden = round(total * mask.ratio)
    if not 0 < num_hidden < total:
        came = f"{mask.ratio} of {total} places is {num_hidden}"
        raise InputError(
            "a mask_ratio that hides some places and shows some", came, "change it, or take larger pictures"
        )
    return mask


def view_of(batch: Views) -> tuple[UInt8[Tensor, "B 3 H W"], Bool[Tensor, "B N"]]:
    """The pictures of a batch of one view, and which of their patches are hidden.

    Raises:
        ValueError: the batch has no mask.
    """
    (images,) = batch.images
    if not batch.masks or batch.masks[0] is None:
        raise ValueError("hidden pixels need a mask; make the batch to the order of `views`")
    return images, batch.masks[0]


def losses_of(name: str, loss: Float[Tensor, ""], flat: Float[Tensor, ""], embeddings: Float[Tensor, "B D"]) -> Losses:
    """Losses, with the share of a flat answer's loss that is explained: 0 for a flat answer, 1 for a perfect one.

    Args:
        name: of the loss in the log.
        loss: to minimise.
        flat: the loss where the answer to all that is hidden is one number, their mean.
        embeddings: one vector for each picture.
    """
    loss_now = loss.detach()
    explained = 1 - loss_now / flat.detach().clamp(min=1e-12)
    return Losses(total=loss, embeddings=embeddings.detach(), terms={name: loss_now, "explained": explained})


def pictures_of(trunk: Trunk, normalised: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 H W"]:
    """Undo `trunk.normalize`, which scales and shifts each channel; what is beyond black or white is cut."""
    ends = torch.tensor([0, 255], dtype=torch.uint8, device=normalised.device).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    black, white = trunk.normalize(ends).float().unbind()
    return ((normalised.float() - black) / (white - black) * 255).round().clamp(0, 255).to(torch.uint8)
