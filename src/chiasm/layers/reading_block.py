"""The block of a decoder that reads what it writes and looks at something else.

Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.1.
Differs: norms stand before the parts (Xiong et al., 2020, arXiv 2002.04745), as in `layers.block`.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.arrangement import SEPARATE, Arrangement
from chiasm.layers.attention import Attention
from chiasm.layers.cross_attention import CrossAttention, Shown


class ReadingBlock(nn.Module):
    """Attention to the text itself, attention to what is shown, a feed-forward part, each added to what came in.

    Args:
        attention_norm, cross_norm, mlp_norm: before each part.
        attention, cross_attention, mlp: the parts.
    """

    def __init__(
        self,
        *,
        attention_norm: nn.Module,
        attention: Attention,
        cross_norm: nn.Module,
        cross_attention: CrossAttention,
        mlp_norm: nn.Module,
        mlp: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.cross_norm = cross_norm
        self.cross_attention = cross_attention
        self.mlp_norm = mlp_norm
        self.mlp = mlp

    def forward(
        self, vectors: Float[Tensor, "B T D"], shown: Shown, arrangement: Arrangement = SEPARATE
    ) -> Float[Tensor, "B T D"]:
        """One step of all tokens.

        Args:
            vectors: of the tokens of the text.
            shown: what `cross_attention.show` made of the tokens that are looked at.
            arrangement: padding, or what came before; see `layers.memory`.
        """
        vectors = vectors + self.attention(self.attention_norm(vectors), arrangement)
        vectors = vectors + self.cross_attention.look_at(self.cross_norm(vectors), shown)
        return vectors + self.mlp(self.mlp_norm(vectors))
