"""Vectors into the space where a contrastive loss compares them: an MLP with batch norm.

Paper: Chen et al., 2020, arXiv 2002.05709, sections 2.1 and 4.2 (SimCLR, two layers); Chen et al., 2020, arXiv
2006.10029, section 2 (version 2, three layers); Chen et al., 2021, arXiv 2104.02057, section 4 (MoCo v3: hidden 4096,
out 256, `last_norm="plain"`).
Differs: nothing; the batch norms are joined over all processes of a run, as in the papers.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.config import Config as BaseConfig
from chiasm.layers.batch_norm import JoinedBatchNorm1d


class ProjectionHead(nn.Module):
    """Linear maps without bias, each followed by a batch norm, with ReLU between.

    Args:
        widths: of the vectors that come in, between the layers, and that go out; at least two.
        last_norm: after the last map; identity for none.

    Attributes:
        out_dim: width of the projected vectors.
    """

    def __init__(self, widths: list[int], last_norm: nn.Module) -> None:
        super().__init__()
        self.out_dim = widths[-1]
        parts: list[nn.Module] = []
        for width_in, width_out in zip(widths[:-2], widths[1:-1], strict=True):
            parts += [_linear(width_in, width_out), JoinedBatchNorm1d(width_out), nn.ReLU()]
        self.layers = nn.Sequential(*parts, _linear(widths[-2], widths[-1]), last_norm)

    def forward(self, vectors: Float[Tensor, "B D"]) -> Float[Tensor, "B E"]:
        """Project; the result is not normalised to unit length.

        Raises:
            ValueError: a batch of one in training, of which batch norm knows no variance.
        """
        return self.layers(vectors)


class Config(BaseConfig):
    """Settings of a projection head.

    Attributes:
        num_layers: 2 as in SimCLR, 3 (default) as in its second version.
        hidden_dim: width between; None for the width that comes in.
        out_dim: width of the projected vectors.
        last_norm: batch norm after the last map: `gain` learns a scale and no shift (SimCLR), `plain` learns neither
            (MoCo v3), `none` is no norm.
    """

    num_layers: int = Field(default=3, ge=1)
    hidden_dim: int | None = Field(default=None, gt=0)
    out_dim: int = Field(default=128, gt=0)
    last_norm: Literal["gain", "plain", "none"] = "gain"

    def build(self, embed_dim: int) -> ProjectionHead:
        """Make the head for vectors of a given width."""
        norms = {"gain": _gain_norm, "plain": _plain_norm, "none": _no_norm}
        hidden = [self.hidden_dim or embed_dim] * (self.num_layers - 1)
        return ProjectionHead([embed_dim, *hidden, self.out_dim], norms[self.last_norm](self.out_dim))


def _linear(width_in: int, width_out: int) -> nn.Linear:
    linear = nn.Linear(width_in, width_out, bias=False)
    nn.init.normal_(linear.weight, std=0.01)
    return linear


def _gain_norm(width: int) -> nn.Module:
    norm = JoinedBatchNorm1d(width)
    norm.register_parameter("bias", None)
    return norm


def _plain_norm(width: int) -> nn.Module:
    return JoinedBatchNorm1d(width, affine=False)


def _no_norm(width: int) -> nn.Module:
    del width
    return nn.Identity()
