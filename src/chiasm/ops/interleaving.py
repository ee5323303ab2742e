"""Texts among pictures: which picture each token of a text belongs to.

Paper: Alayrac et al., 2022, arXiv 2204.14198, section 2.3 (a token sees the picture just before it, and no other).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor


def latest_picture(is_picture: Bool[Tensor, "B T"], num_pictures: int) -> Bool[Tensor, "B T M"]:
    """Which picture each token sees: that of the last mark up to it; none where there is no mark yet.

    Args:
        is_picture: which tokens are the marks that pictures stand at.
        num_pictures: of each text.
    """
    number = is_picture.cumsum(dim=1)
    return number.unsqueeze(2) == torch.arange(1, num_pictures + 1, device=is_picture.device)
