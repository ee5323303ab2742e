"""What becomes of hidden patches: left out of the computation, or replaced by a mask token.

Paper: He et al., 2021, arXiv 2111.06377 (left out); Bao et al., 2021, arXiv 2106.08254, section 2.3, and Oquab et al.,
2023, arXiv 2304.07193 (replaced).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.ops.patches import take_tokens, visible_positions


class Hiding(nn.Module, ABC):
    """Base of both kinds.

    Attributes:
        leaves_out: True when hidden patches cost nothing and have no token in the result.
    """

    leaves_out: bool

    @abstractmethod
    def forward(
        self, pixels: Float[Tensor, "B N _"], patch_mask: Bool[Tensor, "B N"], embedding: nn.Module
    ) -> tuple[Float[Tensor, "B _ D"], Int64[Tensor, "B _"] | None]:
        """Embed patches of which some are hidden.

        Args:
            pixels: all patches, as `patchify` cuts them.
            patch_mask: True = hidden.
            embedding: patches of pixels to tokens.

        Returns:
            the tokens, and their positions in the full grid; None where all are there.
        """


class LeaveOut(Hiding):
    """Embed only the visible patches; every picture must hide the same number."""

    leaves_out = True

    def forward(
        self, pixels: Float[Tensor, "B N _"], patch_mask: Bool[Tensor, "B N"], embedding: nn.Module
    ) -> tuple[Float[Tensor, "B _ D"], Int64[Tensor, "B _"]]:
        visible = visible_positions(patch_mask)
        return embedding(take_tokens(pixels, visible)), visible


class MaskToken(Hiding):
    """Put one learned token, at first zero, in the place of every hidden patch; pictures may hide different numbers."""

    leaves_out = False

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dim))

    def forward(
        self, pixels: Float[Tensor, "B N _"], patch_mask: Bool[Tensor, "B N"], embedding: nn.Module
    ) -> tuple[Float[Tensor, "B N D"], None]:
        tokens = embedding(pixels)
        return torch.where(patch_mask.unsqueeze(-1), self.mask_token.to(tokens.dtype), tokens), None


class LeftOut(Config):
    """Settings of `LeaveOut`."""

    kind: Literal["left_out"] = "left_out"

    def build(self, embed_dim: int) -> LeaveOut:
        del embed_dim
        return LeaveOut()


class Replaced(Config):
    """Settings of `MaskToken`."""

    kind: Literal["mask_token"] = "mask_token"

    def build(self, embed_dim: int) -> MaskToken:
        return MaskToken(embed_dim)


AnyHiding = Annotated[LeftOut | Replaced, Field(discriminator="kind"), usually("left_out")]
