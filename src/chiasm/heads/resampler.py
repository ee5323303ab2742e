"""The perceiver resampler: the many tokens of a picture into a few that a language model looks at.

Paper: Alayrac et al., 2022, arXiv 2204.14198, section 2.1 and appendix A.1.1; Jaegle et al., 2021, arXiv 2103.03206,
section 3.1 (learned latents that look at an input of any length).
Differs: as OpenFlamingo released it (Awadalla et al., 2023, arXiv 2308.01390): GELU, not squared ReLU, a final norm,
and no vectors for the number of a video's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import unless_given
from chiasm.core.config import Config as BaseConfig
from chiasm.core.features import Features
from chiasm.layers.cross_attention import CrossAttention
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.mlp import AnyMlp, GeluMlp


class ResamplerBlock(nn.Module):
    """Latents look at the patches of a picture and at themselves, and then pass a feed-forward part.

    Args:
        latent_norm, patch_norm: of the two that meet in the attention.
        attention: of the latents to both.
        mlp_norm: before the feed-forward part.
        mlp: the feed-forward part.
    """

    def __init__(
        self,
        *,
        latent_norm: nn.Module,
        patch_norm: nn.Module,
        attention: CrossAttention,
        mlp_norm: nn.Module,
        mlp: nn.Module,
    ) -> None:
        super().__init__()
        self.latent_norm = latent_norm
        self.patch_norm = patch_norm
        self.attention = attention
        self.mlp_norm = mlp_norm
        self.mlp = mlp

    def forward(self, latents: Float[Tensor, "B Q D"], patches: Float[Tensor, "B N D"]) -> Float[Tensor, "B Q D"]:
        """One step of the latents of each picture."""
        normed = self.latent_norm(latents)
        latents = latents + self.attention(normed, torch.cat([self.patch_norm(patches), normed], dim=1))
        return latents + self.mlp(self.mlp_norm(latents))


class Resampler(nn.Module):
    """Pictures of any size into as many tokens each.

    Args:
        embed_dim: width of the tokens.
        num_latents: tokens that a picture becomes.
        blocks: the blocks.
        norm: after the last block.
    """

    def __init__(self, *, embed_dim: int, num_latents: int, blocks: Sequence[ResamplerBlock], norm: nn.Module) -> None:
        super().__init__()
        self.num_latents = num_latents
        self.latents = nn.Parameter(torch.randn(num_latents, embed_dim))
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    def forward(self, features: Features) -> Float[Tensor, "B Q D"]:
        """The tokens of each picture, from its patches alone."""
        latents = self.latents.expand(len(features.patches), -1, -1)
        for block in self.blocks:
            latents = block(latents, features.patches)
        return self.norm(latents)


class Config(BaseConfig):
    """Settings of a resampler.

    Attributes:
        num_latents: tokens that a picture becomes.
        depth: number of blocks.
        num_heads: attention heads per block.
        head_dim: width of each.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu; without biases unless told otherwise.
        norm_eps: of all layer norms.
    """

    num_latents: int = Field(default=64, gt=0)
    depth: int = Field(default=6, gt=0)
    num_heads: int = Field(default=8, gt=0)
    head_dim: int = Field(default=64, gt=0)
    mlp: Annotated[AnyMlp, unless_given(bias=False)] = GeluMlp(bias=False)
    norm_eps: float = Field(default=1e-5, gt=0)

    def build(self, embed_dim: int) -> Resampler:
        """Make the head for a trunk; its weights are drawn from PyTorch's generator.

        Args:
            embed_dim: width of the trunk's tokens.
        """
        resampler = Resampler(
            embed_dim=embed_dim,
            num_latents=self.num_latents,
            blocks=[self._block(embed_dim) for _ in range(self.depth)],
            norm=nn.LayerNorm(embed_dim, eps=self.norm_eps),
        )
        initialise(resampler, Normal())
        return resampler

    def _block(self, width: int) -> ResamplerBlock:
        inner = self.num_heads * self.head_dim
        return ResamplerBlock(
            latent_norm=nn.LayerNorm(width, eps=self.norm_eps),
            patch_norm=nn.LayerNorm(width, eps=self.norm_eps),
            attention=CrossAttention(
                self.num_heads,
                query=nn.Linear(width, inner, bias=False),
                key_value=nn.Linear(width, 2 * inner, bias=False),
                projection=nn.Linear(inner, width, bias=False),
            ),
            mlp_norm=nn.LayerNorm(width, eps=self.norm_eps),
            mlp=self.mlp.build(width),
        )
