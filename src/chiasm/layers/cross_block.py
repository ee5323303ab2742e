"""The block in which tokens look at what is shown to them, and only at that.

Paper: Yu et al., 2022, arXiv 2205.01917, section 3.2 (cross-attention layers of the multimodal decoder).
Differs: what is shown is normalised in every block, and a feed-forward part follows the attention, as in open_clip's
code and weights.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.cross_attention import CrossAttention, Shown


class CrossBlock(nn.Module):
    """Attention to what is shown, then a feed-forward part, each added to what came in.

    Args:
        attention_norm, shown_norm, mlp_norm: of the tokens that look, of those that are looked at, before the
            feed-forward part.
        attention, mlp: the parts.
        attention_scale, mlp_scale: after each part, before it is added: layer scale, or identity.
    """

    def __init__(
        self,
        *,
        attention_norm: nn.Module,
        shown_norm: nn.Module,
        attention: CrossAttention,
        attention_scale: nn.Module,
        mlp_norm: nn.Module,
        mlp: nn.Module,
        mlp_scale: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.shown_norm = shown_norm
        self.attention = attention
        self.attention_scale = attention_scale
        self.mlp_norm = mlp_norm
        self.mlp = mlp
        self.mlp_scale = mlp_scale

    def show(self, tokens: Float[Tensor, "B N _"]) -> Shown:
        """Tokens as this block sees them, computed once for all that look at them."""
        return self.attention.show(self.shown_norm(tokens))

    def forward(self, vectors: Float[Tensor, "B T D"], shown: Shown) -> Float[Tensor, "B T D"]:
        """One step of all vectors.

        Args:
            vectors: of the tokens that look.
            shown: what `show` made of those that are looked at.
        """
        seen = self.attention.look_at(self.attention_norm(vectors), shown)
        vectors = vectors + self.attention_scale(seen)
        return vectors + self.mlp_scale(self.mlp(self.mlp_norm(vectors)))
