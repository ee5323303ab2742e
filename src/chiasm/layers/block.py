"""The pre-norm transformer block.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1, equations 2 and 3.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from chiasm.layers.positions import Rotation


class Block(nn.Module):
    """Attention and then a feed-forward part, each on normalised tokens, each added to what came in.

    Args:
        attention_norm, mlp_norm: before each part.
        attention, mlp: the parts.
        attention_scale, mlp_scale: after each part, before it is added: layer scale, or identity.
        drop_path: after each scale; one module serves both, since it holds no state.
    """

    def __init__(
        self,
        *,
        attention_norm: nn.Module,
        attention: nn.Module,
        attention_scale: nn.Module,
        mlp_norm: nn.Module,
        mlp: nn.Module,
        mlp_scale: nn.Module,
        drop_path: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.attention_scale = attention_scale
        self.mlp_norm = mlp_norm
        self.mlp = mlp
        self.mlp_scale = mlp_scale
        self.drop_path = drop_path

    def forward(self, tokens: Float[Tensor, "B N D"], rotation: Rotation | None = None) -> Float[Tensor, "B N D"]:
        """One step of all tokens; `rotation` is handed to the attention."""
        seen = self.attention(self.attention_norm(tokens), rotation)
        tokens = tokens + self.drop_path(self.attention_scale(seen))
        return tokens + self.drop_path(self.mlp_scale(self.mlp(self.mlp_norm(tokens))))
