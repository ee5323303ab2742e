"""How well vectors go with every token of a vocabulary, by the table that its tokens are read by."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from chiasm.ops.float32 import as_stored


def token_logits(
    vectors: Float[Tensor, "*B D"], table: Float[Tensor, "V D"], bias: Float[Tensor, " V"] | None = None
) -> Float[Tensor, "*B V"]:
    """Products of vectors with all rows of a table.

    Where something is learned in the precision of autocast. Where not, in that of the table: texts are written token by
    token, and to round a table of 30,000 tokens takes longer than its product with a few vectors.

    Args:
        vectors: of tokens.
        table: a row for each token of the vocabulary.
        bias: added to the products.
    """
    if torch.is_grad_enabled():
        return functional.linear(vectors, table, bias)
    with as_stored(vectors.device):
        return functional.linear(vectors.to(table.dtype), table, bias)
