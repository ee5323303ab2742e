"""Self-attention within windows, in the two forms of Swin: scaled dot products, and cosines.

Paper: Liu et al., 2021, arXiv 2103.14030, section 3.2, equation 4 (a table of relative positions); Liu et al., 2021,
arXiv 2111.09883, sections 3.2 and 3.3 (cosines with a learned scale, relative positions from a small network over
log-spaced offsets).
Differs: of the network's answer 16 times the sigmoid is taken, and the learned scale is kept as its logarithm, at most
that of 100; both as in the authors' code. A table made for larger windows than those that a small picture leaves serves
by its middle; transformers refuses such pictures. In Swin v2 transformers adds the mask of shifted windows twice, which
shows only where a masked score would win by about 100.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.choice import usually
from chiasm.core.config import Config
from chiasm.layers.attention import QueryValueBias, explicit_is_faster
from chiasm.layers.windows import Windows, relative_index

HIDDEN_DIM = 512
"""Width inside the network of relative positions."""

LARGEST_SCALE = 100.0
"""Of a cosine."""


class RelativeBias(nn.Module, ABC):
    """What is added to the score of two tokens because of where they lie to each other."""

    @abstractmethod
    def forward(self, side: int) -> Float[Tensor, "A N N"]:
        """For every head and pair of tokens of a window of `side` x `side`."""


class BiasTable(RelativeBias):
    """A learned number for each head and offset.

    Args:
        side: of the largest window.
        num_heads: heads.
    """

    def __init__(self, side: int, num_heads: int) -> None:
        super().__init__()
        self.side = side
        self.table = nn.Parameter(torch.empty((2 * side - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, side: int) -> Float[Tensor, "A N N"]:
        rows = self.table[relative_index(side, self.side, self.table.device)]
        return rows.t().unflatten(1, (side * side, -1))


class BiasNetwork(RelativeBias):
    """Two linear maps from an offset to a number for each head, so that windows can be of any size.

    Args:
        num_heads: heads.
        trained_side: of the windows that the offsets are measured by; 0 for those at hand.
    """

    def __init__(self, num_heads: int, trained_side: int) -> None:
        super().__init__()
        self.trained_side = trained_side
        self.up = nn.Linear(2, HIDDEN_DIM)
        self.down = nn.Linear(HIDDEN_DIM, num_heads, bias=False)

    def forward(self, side: int) -> Float[Tensor, "A N N"]:
        weight = self.up.weight
        offsets = _log_offsets(side, self.trained_side or side, weight.dtype, weight.device)
        table = 16 * self.down(functional.relu(self.up(offsets))).sigmoid()
        return table[relative_index(side, side, weight.device)].t().unflatten(1, (side * side, -1))


@lru_cache(maxsize=64)
def _log_offsets(side: int, trained_side: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "N 2"]:
    """Rows and columns between two tokens of a window, over those of a window of `trained_side`, on a log scale."""
    with torch.inference_mode(False):
        steps = torch.arange(1 - side, side, dtype=torch.float64, device=device)
        steps = 8 * steps / max(trained_side - 1, 1)
        steps = steps.sign() * (steps.abs() + 1).log2() / 3
        return torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1).to(dtype)


class Comparison(nn.Module, ABC):
    """How queries and keys are made ready, so that their products are the scores."""

    @abstractmethod
    def forward(
        self, query: Float[Tensor, "B _ A N D"], key: Float[Tensor, "B _ A N D"]
    ) -> tuple[Float[Tensor, "B _ A N D"], Float[Tensor, "B _ A N D"]]:
        """Queries and keys, by window and head."""


class DotProduct(Comparison):
    """The products over the root of their width."""

    def forward(
        self, query: Float[Tensor, "B _ A N D"], key: Float[Tensor, "B _ A N D"]
    ) -> tuple[Float[Tensor, "B _ A N D"], Float[Tensor, "B _ A N D"]]:
        return query * query.shape[-1] ** -0.5, key


class Cosine(Comparison):
    """The cosines, times a learned scale for each head.

    Args:
        num_heads: heads.
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10)))

    def forward(
        self, query: Float[Tensor, "B _ A N D"], key: Float[Tensor, "B _ A N D"]
    ) -> tuple[Float[Tensor, "B _ A N D"], Float[Tensor, "B _ A N D"]]:
        scale = self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()
        turned = functional.normalize(query, dim=-1) * scale
        return turned.to(query.dtype), functional.normalize(key, dim=-1).to(key.dtype)


class WindowAttention(nn.Module):
    """Multi-head self-attention of the tokens of each window.

    Args:
        windows: how a grid is divided.
        num_heads: heads, each embed_dim / num_heads wide.
        query_key_value: tokens to queries, keys and values, one after the other, all heads in each.
        comparison: queries and keys to scores.
        bias: what is added to them.
        projection: the joined heads to tokens.
    """

    def __init__(
        self,
        *,
        windows: Windows,
        num_heads: int,
        query_key_value: nn.Linear,
        comparison: Comparison,
        bias: RelativeBias,
        projection: nn.Linear,
    ) -> None:
        super().__init__()
        self.windows = windows
        self.num_heads = num_heads
        self.query_key_value = query_key_value
        self.comparison = comparison
        self.bias = bias
        self.projection = projection

    def forward(self, tokens: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
        """Let the tokens of each window look at each other.

        Args:
            tokens: of a grid, row by row.
            grid: its rows and columns.
        """
        window = self.windows.at(grid)
        joint = self.query_key_value(window.cut(tokens, grid).flatten(0, 1))
        joint = joint.unflatten(-1, (3, self.num_heads, -1)).unflatten(0, (len(tokens), -1))
        query, key, value = joint.permute(3, 0, 1, 4, 2, 5).unbind(0)
        query, key = self.comparison(query, key)
        bias = self.bias(window.side).to(query.dtype)
        mask = window.mask(grid, query)
        seen = _attend(query, key, value, bias[None] if mask is None else bias + mask[:, None])
        return window.paste(self.projection(seen), grid)


def _attend(
    query: Float[Tensor, "B _ A N D"],
    key: Float[Tensor, "B _ A N D"],
    value: Float[Tensor, "B _ A N D"],
    bias: Float[Tensor, "_ A N N"],
) -> Float[Tensor, "B _ N _"]:
    """Attention within windows, the heads joined; the bias is one for all windows or one for each.

    In the second case the windows of a picture stand beside its heads, so that no picture needs the bias copied.
    """
    batch, num_windows = query.shape[:2]
    num_biases, num_heads = bias.shape[:2]
    shape = (batch * num_windows // num_biases, num_biases * num_heads, *query.shape[-2:])
    query, key, value = query.reshape(shape), key.reshape(shape), value.reshape(shape)
    bias = bias.flatten(0, 1)
    if explicit_is_faster(query):
        seen = (query @ key.transpose(2, 3) + bias).softmax(dim=-1) @ value
    else:
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None], scale=1.0)
    by_head = seen.reshape(batch, num_windows, num_heads, *shape[-2:])
    return by_head.transpose(2, 3).flatten(3)


class ByProduct(Config):
    """Settings of attention with dot products and a table (Swin v1).

    Attributes:
        qkv_bias: whether queries, keys and values have a bias.
    """

    kind: Literal["dot_product"] = "dot_product"
    qkv_bias: bool = True

    def build(self, embed_dim: int, num_heads: int, windows: Windows, stage: int) -> WindowAttention:
        """Make the attention of a block."""
        del stage
        return WindowAttention(
            windows=windows,
            num_heads=num_heads,
            query_key_value=nn.Linear(embed_dim, 3 * embed_dim, bias=self.qkv_bias),
            comparison=DotProduct(),
            bias=BiasTable(windows.side, num_heads),
            projection=nn.Linear(embed_dim, embed_dim),
        )


class ByCosine(Config):
    """Settings of attention with cosines and a network (Swin v2).

    Attributes:
        qkv_bias: whether queries and values have a bias; keys have none.
        trained_window_sizes: for each stage, the side in tokens of the windows that the network was trained with, where
            they were others; 0 or none given: those at hand.
    """

    kind: Literal["cosine"] = "cosine"
    qkv_bias: bool = True
    trained_window_sizes: tuple[Annotated[int, Field(ge=0)], ...] = ()

    def build(self, embed_dim: int, num_heads: int, windows: Windows, stage: int) -> WindowAttention:
        """Make the attention of a block of a stage (0 for the first)."""
        trained = self.trained_window_sizes[stage] if stage < len(self.trained_window_sizes) else 0
        plain = nn.Linear(embed_dim, 3 * embed_dim, bias=False)
        return WindowAttention(
            windows=windows,
            num_heads=num_heads,
            query_key_value=QueryValueBias(embed_dim) if self.qkv_bias else plain,
            comparison=Cosine(num_heads),
            bias=BiasNetwork(num_heads, trained),
            projection=nn.Linear(embed_dim, embed_dim),
        )


AnyWindowAttention = Annotated[ByProduct | ByCosine, Field(discriminator="kind"), usually("dot_product")]
