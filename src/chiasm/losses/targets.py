"""What a teacher's scores ask of a student: distributions over prototypes, kept from falling onto one of them.

Paper: Caron et al., 2021, arXiv 2104.14294, section 3.1 and equation 4 (centring); Caron et al., 2020, arXiv
2006.09882, and Ruan et al., 2022, arXiv 2212.02400, as used by Oquab et al., 2023, arXiv 2304.07193, section 4
(Sinkhorn-Knopp).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.ops.float32 import at_least_float32
from chiasm.ops.ranks import sum_over_ranks
from chiasm.ops.sinkhorn import sinkhorn


class Targets(nn.Module, ABC):
    """Base of both kinds."""

    @abstractmethod
    def forward(self, scores: Float[Tensor, "B K"], temperature: float) -> Float[Tensor, "B K"]:
        """Distributions over prototypes; no gradient flows through them.

        Args:
            scores: the teacher's.
            temperature: above 0; the smaller, the sharper.
        """


class Centring(Targets):
    """Softmax of the scores less their running mean over the batches of all ranks.

    The mean is of the batches before: in training, this one is taken in after its targets are made, so that it counts
    from the next batch on, as in the paper.

    Args:
        num_prototypes: scores of each sample.
        momentum: share of the old mean that stays.
    """

    def __init__(self, num_prototypes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(num_prototypes))

    @torch.no_grad()
    def forward(self, scores: Float[Tensor, "B K"], temperature: float) -> Float[Tensor, "B K"]:
        scores = at_least_float32(scores)
        targets = ((scores - self.centre) / temperature).softmax(dim=1)
        if self.training:
            self._follow(scores)
        return targets

    def _follow(self, scores: Float[Tensor, "B K"]) -> None:
        """Move the centre towards the mean of all ranks' scores; ranks may have different numbers of them."""
        count = scores.new_full((1,), len(scores))
        sums = sum_over_ranks(torch.cat([scores.sum(dim=0), count]))
        if sums[-1] > 0:
            self.centre.lerp_((sums[:-1] / sums[-1]).to(self.centre.dtype), 1 - self.momentum)


class Balance(Targets):
    """Sinkhorn-Knopp over the samples of all ranks: every prototype is asked for equally often.

    Args:
        num_iterations: of scaling in turns.
    """

    def __init__(self, num_iterations: int) -> None:
        super().__init__()
        self.num_iterations = num_iterations

    def forward(self, scores: Float[Tensor, "B K"], temperature: float) -> Float[Tensor, "B K"]:
        return sinkhorn(scores, temperature, self.num_iterations)


class Centred(Config):
    """Settings of `Centring`.

    Attributes:
        momentum: share of the old centre that stays at each step.
    """

    kind: Literal["centring"] = "centring"
    momentum: float = Field(default=0.9, ge=0, le=1)

    def build(self, num_prototypes: int) -> Centring:
        return Centring(num_prototypes, self.momentum)


class Balanced(Config):
    """Settings of `Balance`.

    Attributes:
        num_iterations: of scaling prototypes and samples in turns.
    """

    kind: Literal["sinkhorn"] = "sinkhorn"
    num_iterations: int = Field(default=3, ge=1)

    def build(self, num_prototypes: int) -> Balance:
        del num_prototypes
        return Balance(self.num_iterations)


AnyTargets = Annotated[Centred | Balanced, Field(discriminator="kind"), usually("centring")]
