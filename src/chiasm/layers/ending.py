"""How a trunk of convolutions ends: its tokens as they are, normed, or with their mean before them.

Paper: Liu et al., 2022, arXiv 2201.03545 (as they are: the norm comes after pooling); Simeoni et al., 2025, arXiv
2508.10104, and its published code (the mean is the class token).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.config import Config


class Ending(nn.Module, ABC):
    """What becomes of the tokens after the last stage."""

    @abstractmethod
    def forward(self, tokens: Float[Tensor, "B N D"]) -> tuple[Float[Tensor, "B P D"], Float[Tensor, "B N D"]]:
        """Tokens that stand before the patches, and those of the patches."""


class BareEnding(Ending):
    """Nothing; the published classifiers take the mean and norm that (`heads.pool`: mean_then_norm)."""

    def forward(self, tokens: Float[Tensor, "B N D"]) -> tuple[Float[Tensor, "B P D"], Float[Tensor, "B N D"]]:
        return tokens[:, :0], tokens


class NormedEnding(Ending):
    """A norm of each token.

    Args:
        embed_dim: width of the tokens.
        norm_eps: of the norm.
    """

    def __init__(self, embed_dim: int, norm_eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed_dim, eps=norm_eps)

    def forward(self, tokens: Float[Tensor, "B N D"]) -> tuple[Float[Tensor, "B P D"], Float[Tensor, "B N D"]]:
        normed = self.norm(tokens)
        return normed[:, :0], normed


class MeanTokenEnding(NormedEnding):
    """The mean is the class token, and all tokens are normed (DINOv3)."""

    def forward(self, tokens: Float[Tensor, "B N D"]) -> tuple[Float[Tensor, "B P D"], Float[Tensor, "B N D"]]:
        return self.norm(tokens.mean(dim=1, keepdim=True)), self.norm(tokens)


class Bare(Config):
    """Settings of `BareEnding`."""

    kind: Literal["bare"] = "bare"

    def build(self, embed_dim: int, norm_eps: float) -> Ending:
        del embed_dim, norm_eps
        return BareEnding()


class Normed(Config):
    """Settings of `NormedEnding`."""

    kind: Literal["normed"] = "normed"

    def build(self, embed_dim: int, norm_eps: float) -> Ending:
        return NormedEnding(embed_dim, norm_eps)


class MeanToken(Config):
    """Settings of `MeanTokenEnding`."""

    kind: Literal["mean_token"] = "mean_token"

    def build(self, embed_dim: int, norm_eps: float) -> Ending:
        return MeanTokenEnding(embed_dim, norm_eps)


AnyEnding = Annotated[Bare | Normed | MeanToken, Field(discriminator="kind"), usually("bare")]
