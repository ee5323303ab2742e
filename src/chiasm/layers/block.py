"""The pre-norm transformer block, and the settings that make a row of them.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1, equations 2 and 3.
"""

from __future__ import annotations

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.config import Config
from chiasm.layers.arrangement import SEPARATE, Arrangement, Attend
from chiasm.layers.attention import Attention, QueryValueBias, attend
from chiasm.layers.mlp import AnyMlp, GeluMlp
from chiasm.layers.residual import DropPath, LayerScale


class Block(nn.Module):
    """Attention and then a feed-forward part, each on normalised tokens, each added to what came in.

    Args:
        attention_norm, mlp_norm: before each part.
        attention, mlp: the parts.
        attention_scale, mlp_scale: after each part, before it is added: layer scale, or identity.
        drop_path: adds both; one module serves both, since it holds no state.
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
        drop_path: DropPath,
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.attention_scale = attention_scale
        self.mlp_norm = mlp_norm
        self.mlp = mlp
        self.mlp_scale = mlp_scale
        self.drop_path = drop_path

    def forward(self, tokens: Float[Tensor, "B N D"], arrangement: Arrangement = SEPARATE) -> Float[Tensor, "B N D"]:
        """One step of all tokens; `arrangement` says which belong to one picture."""
        tokens = self.drop_path.add(tokens, self._look, arrangement)
        return self.drop_path.add(tokens, self._think, arrangement)

    def _look(self, tokens: Float[Tensor, "B N D"], arrangement: Arrangement) -> Float[Tensor, "B N D"]:
        return self.attention_scale(self.attention(self.attention_norm(tokens), arrangement))

    def _think(self, tokens: Float[Tensor, "B N D"], arrangement: Arrangement) -> Float[Tensor, "B N D"]:
        del arrangement
        return self.mlp_scale(self.mlp(self.mlp_norm(tokens)))


class BlockSettings(Config):
    """What blocks are made of; whoever has blocks (trunks, decoders) inherits or holds these settings.

    Attributes:
        mlp: feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        qkv_bias: whether queries, keys and values have a bias.
        key_bias: whether keys have one too, where `qkv_bias` is set.
        layer_scale: initial value of the gain after each part of a block; None for no such gain.
        drop_path: probability of dropping a part of a block in training: of the last block, falling to 0 at the first.
        drop_path_uniform: the same probability in all blocks instead (DINOv2).
        norm_eps: of all layer norms.
    """

    mlp: AnyMlp = GeluMlp()
    qkv_bias: bool = True
    key_bias: bool = True
    layer_scale: float | None = None
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    drop_path_uniform: bool = False
    norm_eps: float = Field(default=1e-6, gt=0)

    def build_blocks(self, embed_dim: int, depth: int, num_heads: int, look: Attend = attend) -> list[Block]:
        """Make a row of blocks, with PyTorch's own initial weights; see `layers.initialise`.

        Args:
            embed_dim: width of the tokens.
            depth: how many.
            num_heads: of each.
            look: which tokens see which.
        """
        return [
            Block(
                attention_norm=nn.LayerNorm(embed_dim, eps=self.norm_eps),
                attention=Attention(num_heads, self._query_key_value(embed_dim), nn.Linear(embed_dim, embed_dim), look),
                attention_scale=self._scale(embed_dim),
                mlp_norm=nn.LayerNorm(embed_dim, eps=self.norm_eps),
                mlp=self.mlp.build(embed_dim),
                mlp_scale=self._scale(embed_dim),
                drop_path=DropPath(rate),
            )
            for rate in self._drop_rates(depth)
        ]

    def _query_key_value(self, embed_dim: int) -> nn.Linear:
        if self.qkv_bias and not self.key_bias:
            return QueryValueBias(embed_dim)
        return nn.Linear(embed_dim, 3 * embed_dim, bias=self.qkv_bias)

    def _scale(self, embed_dim: int) -> nn.Module:
        return nn.Identity() if self.layer_scale is None else LayerScale(embed_dim, self.layer_scale)

    def _drop_rates(self, depth: int) -> list[float]:
        if self.drop_path_uniform or depth == 1:
            return [self.drop_path] * depth
        return [self.drop_path * index / (depth - 1) for index in range(depth)]
