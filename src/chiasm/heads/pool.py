"""Features into one vector per picture: the class token, the mean of the patches, both, or what a learned query sees.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1 (class token) and appendix D.3 (mean); Oquab et al.,
2023, arXiv 2304.07193 (class token and mean: its linear evaluation tries them together); Touvron et al., 2020, arXiv
2012.12877, section 4 (class token and distillation token); Zhai et al., 2021, arXiv 2106.04560, section 3.4 (a learned
query), as in SigLIP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.choice import usually
from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.layers.cross_attention import CrossAttention
from chiasm.layers.initialise import Normal, initialise
from chiasm.layers.mlp import AnyMlp, GeluMlp


class Pool(nn.Module, ABC):
    """Base of all kinds.

    Attributes:
        out_dim: width of the vectors.
    """

    def __init__(self, out_dim: int) -> None:
        super().__init__()
        self.out_dim = out_dim

    @abstractmethod
    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        """One vector per picture."""


class ClassToken(Pool):
    """The class token."""

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        """One vector per picture.

        Raises:
            InputError: the trunk has no class token.
        """
        if features.num_class_tokens == 0:
            raise InputError(
                "features with a class token", "the trunk has none", "pool by mean_patches, or give the trunk one"
            )
        return features.prefix[:, 0]


class ClassThenNorm(Pool):
    """The class token and then a norm, for trunks that end without one because others want their tokens bare.

    Args:
        embed_dim: width of the tokens.
        norm_eps: of the norm.
    """

    def __init__(self, embed_dim: int, norm_eps: float) -> None:
        super().__init__(embed_dim)
        self.class_token = ClassToken(embed_dim)
        self.norm = nn.LayerNorm(embed_dim, eps=norm_eps)

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        return self.norm(self.class_token(features))


class MeanPatches(Pool):
    """The mean of the patches, of the visible ones where some were hidden."""

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        return features.patches.mean(dim=1)


class ClassOrMean(Pool):
    """The class token where the trunk has one, the mean of the patches elsewhere: what serves every trunk."""

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        return features.prefix[:, 0] if features.num_class_tokens else features.patches.mean(dim=1)


class MeanThenNorm(Pool):
    """The mean of the patches and then a norm, for trunks that end without one.

    Args:
        embed_dim: width of the tokens.
        norm_eps: of the norm.
    """

    def __init__(self, embed_dim: int, norm_eps: float) -> None:
        super().__init__(embed_dim)
        self.norm = nn.LayerNorm(embed_dim, eps=norm_eps)

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        return self.norm(features.patches.mean(dim=1))


class ClassAndMean(Pool):
    """The class token and then the mean of the patches: twice as wide as a token."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__(2 * embed_dim)
        self.class_token = ClassToken(embed_dim)
        self.mean_patches = MeanPatches(embed_dim)

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        return torch.cat([self.class_token(features), self.mean_patches(features)], dim=1)


class ClassAndRegister(Pool):
    """The class token and then the first register, where DeiT has its distillation token: twice as wide as a token."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__(2 * embed_dim)
        self.class_token = ClassToken(embed_dim)

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        """One vector per picture.

        Raises:
            InputError: the trunk has no class token or no register.
        """
        class_token = self.class_token(features)
        if features.prefix.shape[1] == features.num_class_tokens:
            raise InputError("features with a register", "the trunk has none", "pool by class_token, or give it one")
        return torch.cat([class_token, features.prefix[:, features.num_class_tokens]], dim=1)


class AttentionPool(Pool):
    """What a learned query sees in all tokens, and a feed-forward part after it.

    Args:
        embed_dim: width of the tokens.
        num_heads: of the attention.
        mlp: the feed-forward part.
        norm_eps: of the norm before it.
    """

    def __init__(self, embed_dim: int, num_heads: int, mlp: nn.Module, norm_eps: float) -> None:
        super().__init__(embed_dim)
        self.probe = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, embed_dim), std=0.02))
        self.attention = CrossAttention(
            num_heads,
            query=nn.Linear(embed_dim, embed_dim),
            key_value=nn.Linear(embed_dim, 2 * embed_dim),
            projection=nn.Linear(embed_dim, embed_dim),
        )
        self.norm = nn.LayerNorm(embed_dim, eps=norm_eps)
        self.mlp = mlp
        initialise(self, Normal())

    def forward(self, features: Features) -> Float[Tensor, "B D"]:
        tokens = features.tokens
        seen = self.attention(self.probe.expand(len(tokens), -1, -1), tokens)
        return (seen + self.mlp(self.norm(seen))).squeeze(1)


class ByClass(BaseConfig):
    """Settings of `ClassToken`."""

    kind: Literal["class_token"] = "class_token"

    def build(self, embed_dim: int) -> Pool:
        return ClassToken(embed_dim)


class ByClassThenNorm(BaseConfig):
    """Settings of `ClassThenNorm`.

    Attributes:
        norm_eps: of the norm.
    """

    kind: Literal["class_then_norm"] = "class_then_norm"
    norm_eps: float = Field(default=1e-6, gt=0)

    def build(self, embed_dim: int) -> Pool:
        return ClassThenNorm(embed_dim, self.norm_eps)


class ByMean(BaseConfig):
    """Settings of `MeanPatches`."""

    kind: Literal["mean_patches"] = "mean_patches"

    def build(self, embed_dim: int) -> Pool:
        return MeanPatches(embed_dim)


class ByClassOrMean(BaseConfig):
    """Settings of `ClassOrMean`."""

    kind: Literal["class_or_mean"] = "class_or_mean"

    def build(self, embed_dim: int) -> Pool:
        return ClassOrMean(embed_dim)


class ByMeanThenNorm(BaseConfig):
    """Settings of `MeanThenNorm`.

    Attributes:
        norm_eps: of the norm.
    """

    kind: Literal["mean_then_norm"] = "mean_then_norm"
    norm_eps: float = Field(default=1e-6, gt=0)

    def build(self, embed_dim: int) -> Pool:
        return MeanThenNorm(embed_dim, self.norm_eps)


class ByBoth(BaseConfig):
    """Settings of `ClassAndMean`."""

    kind: Literal["class_and_mean"] = "class_and_mean"

    def build(self, embed_dim: int) -> Pool:
        return ClassAndMean(embed_dim)


class ByClassAndRegister(BaseConfig):
    """Settings of `ClassAndRegister`."""

    kind: Literal["class_and_register"] = "class_and_register"

    def build(self, embed_dim: int) -> Pool:
        return ClassAndRegister(embed_dim)


class ByAttention(BaseConfig):
    """Settings of `AttentionPool`.

    Attributes:
        num_heads: of the attention.
        mlp: the feed-forward part: gelu (default), gelu_tanh, gelu_quick or swiglu.
        norm_eps: of the norm before it.
    """

    kind: Literal["attention"] = "attention"
    num_heads: int = Field(default=8, gt=0)
    mlp: AnyMlp = GeluMlp()
    norm_eps: float = Field(default=1e-6, gt=0)

    def build(self, embed_dim: int) -> Pool:
        """Make the pool.

        Raises:
            InputError: the heads do not divide the width.
        """
        if embed_dim % self.num_heads:
            came = f"{self.num_heads} does not divide {embed_dim}"
            raise InputError("a num_heads of the pool that divides the width of the tokens", came, "change it")
        return AttentionPool(embed_dim, self.num_heads, self.mlp.build(embed_dim), self.norm_eps)


class Config(BaseConfig):
    """Settings of a pool.

    Attributes:
        by: class_token (default), class_then_norm, mean_patches, class_or_mean, mean_then_norm, class_and_mean,
            class_and_register or attention.
    """

    by: Annotated[
        ByClass | ByClassThenNorm | ByMean | ByClassOrMean | ByMeanThenNorm | ByBoth | ByClassAndRegister | ByAttention,
        Field(discriminator="kind"),
        usually("class_token"),
    ] = ByClass()

    def build(self, embed_dim: int) -> Pool:
        """Make the pool for a trunk of a given width."""
        return self.by.build(embed_dim)
