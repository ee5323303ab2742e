"""How often two views of a picture find each other: a figure that says more than a contrastive loss does."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def share_matched(first: Float[Tensor, "B E"], second: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
    """Share of first vectors whose nearest second vector, by cosine, is that of their own row."""
    similarity = functional.normalize(first.float(), dim=1) @ functional.normalize(second.float(), dim=1).T
    return (similarity.argmax(dim=1) == torch.arange(len(first), device=first.device)).float().mean()
