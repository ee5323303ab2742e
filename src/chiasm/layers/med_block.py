"""The block of a text transformer that can look at a picture while it reads: BERT's, with a part more.

Paper: Li et al., 2022, arXiv 2201.12086, section 3.1 and figure 2 (the mixture of encoder and decoder); Devlin et al.,
2018, arXiv 1810.04805, section 3 (BERT); Vaswani et al., 2017, arXiv 1706.03762, section 3.1 (a norm after each sum).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.arrangement import SEPARATE, Arrangement
from chiasm.layers.attention import Attention
from chiasm.layers.cross_attention import CrossAttention, Shown


class MedBlock(nn.Module):
    """Attention to the text itself, attention to what is shown, a feed-forward part; each is added, then normalised.

    Args:
        attention, cross_attention, mlp: the parts.
        attention_norm, cross_norm, mlp_norm: after each part was added.
    """

    def __init__(
        self,
        *,
        attention: Attention,
        attention_norm: nn.Module,
        cross_attention: CrossAttention,
        cross_norm: nn.Module,
        mlp: nn.Module,
        mlp_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = attention_norm
        self.cross_attention = cross_attention
        self.cross_norm = cross_norm
        self.mlp = mlp
        self.mlp_norm = mlp_norm

    def forward(
        self, vectors: Float[Tensor, "B T D"], shown: Shown | None = None, arrangement: Arrangement = SEPARATE
    ) -> Float[Tensor, "B T D"]:
        """One step of all tokens.

        Args:
            vectors: of the tokens of the text.
            shown: what `cross_attention.show` made of the tokens that are looked at; None where the text is read alone.
            arrangement: padding, or what came before; see `layers.memory`.
        """
        vectors = self.attention_norm(vectors + self.attention(vectors, arrangement))
        if shown is not None:
            vectors = self.cross_norm(vectors + self.cross_attention.look_at(vectors, shown))
        return self.mlp_norm(vectors + self.mlp(vectors))
