"""What lets a frozen language model look at pictures: cross-attention and a feed-forward part behind gates.

Paper: Alayrac et al., 2022, arXiv 2204.14198, section 2.2 and appendix A.1.2 (a gate is the tanh of a number that
begins at 0, so that at first the language model is what it was).
Differs: as OpenFlamingo released it (Awadalla et al., 2023, arXiv 2308.01390): GELU, not squared ReLU.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.cross_attention import CrossAttention, Shown


class GatedBlock(nn.Module):
    """Cross-attention and a feed-forward part, each on normalised vectors, each added as far as its gate is open.

    Args:
        cross_norm, mlp_norm: before each part.
        cross_attention, mlp: the parts.
    """

    def __init__(
        self, *, cross_norm: nn.Module, cross_attention: CrossAttention, mlp_norm: nn.Module, mlp: nn.Module
    ) -> None:
        super().__init__()
        self.cross_norm = cross_norm
        self.cross_attention = cross_attention
        self.cross_gate = nn.Parameter(torch.zeros(()))
        self.mlp_norm = mlp_norm
        self.mlp = mlp
        self.mlp_gate = nn.Parameter(torch.zeros(()))

    def forward(self, vectors: Float[Tensor, "B T D"], shown: Shown) -> Float[Tensor, "B T D"]:
        """One step of all tokens of texts.

        Args:
            vectors: of the tokens.
            shown: what `cross_attention.show` made of the tokens of the pictures.
        """
        vectors = vectors + self.cross_attention.look_at(self.cross_norm(vectors), shown) * self.cross_gate.tanh()
        return vectors + self.mlp(self.mlp_norm(vectors)) * self.mlp_gate.tanh()
