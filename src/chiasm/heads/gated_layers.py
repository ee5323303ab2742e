"""Gated layers before every n-th block of a language model, through which it looks at pictures.

Paper: Alayrac et al., 2022, arXiv 2204.14198, section 2.2 and figure 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import unless_given
from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.layers.cross_attention import CrossAttention, Shown
from chiasm.layers.gated_block import GatedBlock
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.mlp import AnyMlp, GeluMlp


class GatedLayers(nn.Module):
    """The gated layers of a language model.

    Args:
        blocks: one for each block of the language model that something stands before.
        every: which blocks these are: the last of each `every`.
        depth: blocks of the language model.
    """

    def __init__(self, blocks: Sequence[GatedBlock], every: int, depth: int) -> None:
        super().__init__()
        self.every = every
        self.depth = depth
        self.blocks = nn.ModuleList(blocks)

    def show(self, latents: Float[Tensor, "B M Q D"], sees: Bool[Tensor, "B T M"] | None = None) -> tuple[Shown, ...]:
        """The pictures of each text as each layer sees them.

        Args:
            latents: tokens of the pictures of each text.
            sees: which of them each token of the text looks at; None for all.
        """
        seen = None if sees is None else sees.repeat_interleave(latents.shape[2], dim=2).unsqueeze(1)
        pictures = latents.flatten(1, 2)
        return tuple(
            block.cross_attention.show(pictures, seen) for block in self.blocks if isinstance(block, GatedBlock)
        )

    def before(self, shown: Sequence[Shown]) -> list[Callable[[Tensor], Tensor]]:
        """What the vectors of texts pass before each block of the language model.

        Args:
            shown: as `show` returned it.
        """
        layers = [partial(block, shown=each) for block, each in zip(self.blocks, shown, strict=True)]
        places = range(1, self.depth + 1)
        return [nn.Identity() if place % self.every else layers[place // self.every - 1] for place in places]


class Config(BaseConfig):
    """Settings of gated layers.

    Attributes:
        every: blocks of the language model for each of them.
        num_heads: attention heads of each.
        head_dim: width of each head.
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu; without biases unless told otherwise.
        norm_eps: of all layer norms.
    """

    every: int = Field(default=1, gt=0)
    num_heads: int = Field(default=8, gt=0)
    head_dim: int = Field(default=64, gt=0)
    mlp: Annotated[AnyMlp, unless_given(bias=False)] = GeluMlp(bias=False)
    norm_eps: float = Field(default=1e-5, gt=0)

    def build(self, text_dim: int, picture_dim: int, depth: int) -> GatedLayers:
        """Make the layers, their gates closed; other weights are drawn from PyTorch's generator.

        Args:
            text_dim: width of the language model's vectors.
            picture_dim: width of the tokens of pictures.
            depth: blocks of the language model.

        Raises:
            InputError: there would be none.
        """
        if self.every > depth:
            came = f"there are {depth} blocks and a layer for every {self.every}"
            raise InputError("at least one gated layer", came, "change `every`")
        blocks = [self._block(text_dim, picture_dim) for _ in range(depth // self.every)]
        layers = GatedLayers(blocks, self.every, depth)
        initialise(layers, Normal())
        return layers

    def _block(self, text_dim: int, picture_dim: int) -> GatedBlock:
        inner = self.num_heads * self.head_dim
        return GatedBlock(
            cross_norm=nn.LayerNorm(text_dim, eps=self.norm_eps),
            cross_attention=CrossAttention(
                self.num_heads,
                query=nn.Linear(text_dim, inner, bias=False),
                key_value=nn.Linear(picture_dim, 2 * inner, bias=False),
                projection=nn.Linear(inner, text_dim, bias=False),
            ),
            mlp_norm=nn.LayerNorm(text_dim, eps=self.norm_eps),
            mlp=self.mlp.build(text_dim),
        )
