"""Multi-head self-attention, with the faster of two ways to compute it chosen in one place.

Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.2.

The two ways give the same numbers. `fused_attention` is PyTorch's kernel, which never stores the N x N weights.
`explicit_attention` writes out the products; on a CPU its backward pass is the faster one while sequences are short.
`benchmarks/attention.py` measures where that turns round; `attend` holds the choice. `attend_back` is for text whose
tokens see only what stands before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from chiasm.layers.arrangement import SEPARATE, Arrangement, Attend

EXPLICIT_UP_TO = 160
"""Longest sequence for which the explicit products are taken when training on a CPU.

Up to there they were 1.2 to 1.6 times as fast with two threads, and 0.9 to 1.1 times with one; beyond it the gain is
gone and the N x N weights cost memory.
"""


def attention_weights(
    query: Float[Tensor, "B A Q D"], key: Float[Tensor, "B A N D"], seen: Bool[Tensor, "#B 1 #Q N"] | None = None
) -> Float[Tensor, "B A Q N"]:
    """How much of each token every query takes; rows sum to 1, but to 0 where a query sees nothing.

    In bfloat16 the softmax is taken of scores rounded to bfloat16: its sums run in float32 inside the kernel, and its
    weights are rounded to bfloat16 for the second product in any case, so a softmax in float32 would change nothing
    that is kept.
    """
    batch, heads, _, width = query.shape
    query, key = (part.reshape(batch * heads, -1, width) for part in (query, key))
    # beta = 0 means that the first argument is never read: this is the product, scaled on the way out.
    unread = query.new_empty(1, 1, 1)
    scores = torch.baddbmm(unread, query, key.transpose(1, 2), beta=0, alpha=width**-0.5)
    scores = scores.unflatten(0, (batch, heads))
    if seen is None:
        return scores.softmax(dim=-1)
    # The lowest number instead of minus infinity: a query that sees nothing has gradients of zero, not NaN.
    weights = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return weights * seen.any(dim=-1, keepdim=True)


def explicit_attention(
    query: Float[Tensor, "B A Q D"],
    key: Float[Tensor, "B A N D"],
    value: Float[Tensor, "B A N D"],
    seen: Bool[Tensor, "#B 1 #Q N"] | None = None,
) -> Float[Tensor, "B A Q D"]:
    """Attention as two batched products and a softmax; a query that sees nothing gets zeros."""
    weights = attention_weights(query, key, seen).flatten(0, 1)
    return torch.bmm(weights, value.flatten(0, 1)).unflatten(0, query.shape[:2])


def fused_attention(
    query: Float[Tensor, "B A Q D"],
    key: Float[Tensor, "B A N D"],
    value: Float[Tensor, "B A N D"],
    seen: Bool[Tensor, "B 1 #Q N"] | None = None,
) -> Float[Tensor, "B A Q D"]:
    """Attention as PyTorch's one operation; a query that sees nothing gets zeros."""
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)


def attend(
    query: Float[Tensor, "B A Q D"],
    key: Float[Tensor, "B A N D"],
    value: Float[Tensor, "B A N D"],
    seen: Bool[Tensor, "B 1 #Q N"] | None = None,
) -> Float[Tensor, "B A Q D"]:
    """Attention, computed in the way that is faster here.

    Args:
        query, key, value: all heads of each.
        seen: which keys each query may look at; None for all.
    """
    way = explicit_attention if explicit_is_faster(query) else fused_attention
    return way(query, key, value, seen)


def attend_back(
    query: Float[Tensor, "B A Q D"],
    key: Float[Tensor, "B A N D"],
    value: Float[Tensor, "B A N D"],
    seen: Bool[Tensor, "B 1 #Q N"] | None = None,
) -> Float[Tensor, "B A Q D"]:
    """Attention in which every token sees itself and those before it, computed in the way that is faster here.

    Args:
        query: of the last Q of the N tokens.
        key, value: of all tokens.
        seen: which of them may be looked at besides; None for all.
    """
    num_queries, length = query.shape[-2], key.shape[-2]
    if seen is None and num_queries == length and not explicit_is_faster(query):
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    if num_queries > 1:
        back = torch.ones(num_queries, length, dtype=torch.bool, device=query.device).tril(length - num_queries)
        seen = back.expand(len(query), 1, -1, -1) if seen is None else back & seen
    return attend(query, key, value, seen)


def explicit_is_faster(query: Float[Tensor, "B A Q D"]) -> bool:
    """Whether to write the products out: training on a CPU that multiplies this precision natively, short sequences."""
    trains = query.requires_grad and torch.is_grad_enabled()
    is_short = query.shape[-2] <= EXPLICIT_UP_TO
    return trains and is_short and query.device.type == "cpu" and _cpu_multiplies(query.dtype)


@cache
def _cpu_multiplies(dtype: torch.dtype) -> bool:
    """Whether this CPU has batched products of a precision; without, they are emulated and many times slower."""
    if dtype in (torch.float32, torch.float64):
        return True
    units = {torch.bfloat16: ("amx_bf16", "avx512_bf16", "bf16"), torch.float16: ("amx_fp16", "avx512_fp16")}
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(unit, False) for unit in units.get(dtype, ()))


class QueryValueBias(nn.Linear):
    """The joint map to queries, keys and values, where only queries and values have a bias (BEiT, DINOv3)."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__(embed_dim, 3 * embed_dim, bias=False)
        self.query_bias = nn.Parameter(torch.zeros(embed_dim))
        self.value_bias = nn.Parameter(torch.zeros(embed_dim))

    def forward(self, input: Float[Tensor, "B N _"]) -> Float[Tensor, "B N _"]:
        bias = torch.cat([self.query_bias, torch.zeros_like(self.query_bias), self.value_bias])
        return functional.linear(input, self.weight, bias)


class Looking(nn.Module):
    """Base of all parts in which tokens look at tokens.

    Attributes:
        look: which tokens see which, and how that is computed.
    """

    look: Attend


class Attention(Looking):
    """Multi-head self-attention.

    Args:
        num_heads: heads, each embed_dim / num_heads wide.
        query_key_value: tokens to queries, keys and values, one after the other, all heads in each.
        projection: the joined heads to tokens.
        look: which tokens see which; all see all unless told otherwise.
    """

    def __init__(
        self, num_heads: int, query_key_value: nn.Linear, projection: nn.Linear, look: Attend = attend
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.look = look
        self.query_key_value = query_key_value
        self.projection = projection

    def forward(self, tokens: Float[Tensor, "B N D"], arrangement: Arrangement = SEPARATE) -> Float[Tensor, "B N D"]:
        """Let the tokens of each picture look at each other.

        Args:
            tokens: prefix and patches.
            arrangement: which of them belong together, and their rotary positions.
        """
        joint = self.query_key_value(tokens).unflatten(-1, (3, self.num_heads, -1))
        # Unbound along its own axis, so that the three gradients are put together in the order of the product.
        query, key, value = joint.unbind(2)
        return self.projection(arrangement.look(self.look, query, key, value))


@contextmanager
def recorded(module: nn.Module) -> Iterator[list[Float[Tensor, "B A Q N"]]]:
    """Keep the weights of every `Looking` part that looks at all tokens (`attend`), in the order of computing.

    The weights belong to the graph, so a score that was computed from them can be differentiated with respect to them.
    Whoever else computes with the same module meanwhile would be recorded too; see `serve.explain` for a twin of its
    own.
    """
    weights: list[Tensor] = []

    def look(query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None = None) -> Tensor:
        if seen is not None:
            raise ValueError("weights are recorded of tokens that all see each other")
        weights.append(attention_weights(query, key))
        return weights[-1] @ value

    looking = [part for part in module.modules() if isinstance(part, Looking) and part.look is attend]
    for part in looking:
        part.look = look
    try:
        yield weights
    finally:
        for part in looking:
            part.look = attend
