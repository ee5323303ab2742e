"""What all trunks for pictures share: the numbers that the pixels of each channel become."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from pydantic import model_validator
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.protocols import Trunk, TrunkConfig


class PictureTrunk(Trunk):
    """A trunk whose pictures are shifted and scaled channel by channel.

    Args:
        mean, std: of each channel of the training pictures, in [0, 1].
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.mean = tuple(mean)
        self.std = tuple(std)

    def normalize(self, images: UInt8[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Pixels 0 to 255 to (pixel / 255 - mean) / std per channel, in the precision of the first weights."""
        # From the Python numbers each time: a buffer would be rounded with the weights of a bfloat16 model.
        mean = torch.tensor(self.mean, device=images.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(-1, 1, 1)
        normalised = torch.addcmul(-mean / std, images.to(mean.dtype), 1 / (255 * std))
        return normalised.to(next(self.parameters()).dtype)


class ChannelSettings(TrunkConfig):
    """Settings of the channels of pictures.

    Attributes:
        mean: of each channel of the training pictures, in [0, 1]; as many as there are channels.
        std: of each channel, as `mean`.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _tells_every_channel(self) -> ChannelSettings:
        if len(self.mean) != len(self.std) or not self.std or min(self.std) <= 0:
            raise InputError(
                "a mean and a std above 0 for each channel",
                f"mean is {list(self.mean)} and std is {list(self.std)}",
                "give both as many numbers as the pictures have channels",
            )
        return self
