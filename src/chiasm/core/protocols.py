"""What trunks, heads and objectives promise each other (tensors); see `core.predictors` for the numpy side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.core.rates import LearningGroup
from chiasm.core.views import TextSpec, Views, ViewSpec


class Trunk(nn.Module, ABC):
    """Pictures in, `Features` out.

    Attributes:
        embed_dim: width of the tokens.
        image_size: side in pixels the trunk was made for; other sizes are accepted where positions can be resampled.
        patch_size: side in pixels of what becomes one token, of the first stage where there are several.
        hides_patches: True when `patch_mask` really leaves hidden patches out of the computation.
        replaces_patches: True when `patch_mask` puts a learned token in the place of hidden patches. Where neither is
            true, nothing can be hidden.
    """

    embed_dim: int
    image_size: int
    patch_size: int
    hides_patches: bool
    replaces_patches: bool

    @property
    def stride_px(self) -> int:
        """Side in pixels of what one patch token of the features stands for; larger than a patch where stages merge."""
        return self.patch_size

    @abstractmethod
    def normalize(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Pixels 0 to 255 to the numbers the trunk was trained on."""

    @abstractmethod
    def forward(
        self,
        images: Float[Tensor, "B C H W"],
        *,
        patch_mask: Bool[Tensor, "B N"] | None = None,
        layers: Sequence[int] = (),
    ) -> Features:
        """Encode normalised pictures.

        Args:
            images: as `normalize` returns them.
            patch_mask: True = hidden; every row hides the same number of patches.
            layers: indices of blocks whose outputs are returned as `intermediates`.
        """

    @abstractmethod
    def levels(self) -> tuple[tuple[nn.Module, ...], ...]:
        """The parts that hold weights, from the pictures to the features, each part once.

        First what embeds, pixels before anything else, then one level for each block, last what comes after the blocks.
        Learning rates fall from the last level to the first; blocks are what is computed again to save memory, and what
        is split among processes.
        """

    def weights_for(self, image_size: int) -> Mapping[str, Tensor]:
        """The weights of the same trunk made for pictures of another size: what is learned per place is resampled.

        Args:
            image_size: side in pixels that `image_size` of the other trunk's settings tells.

        Raises:
            InputError: a picture of that size cannot be cut into patches.
        """
        del image_size
        return self.state_dict()

    def encode_together(
        self, images: Sequence[Float[Tensor, "_ C _ _"]], patch_masks: Sequence[Bool[Tensor, "_ _"] | None] = ()
    ) -> tuple[Features, ...]:
        """Encode groups of normalised pictures, each group of a size of its own; the same as one call for each.

        Args:
            images: the groups.
            patch_masks: of each group, as in `forward`; empty where nothing is hidden in any.
        """
        masks = patch_masks or [None] * len(images)
        return tuple(self(group, patch_mask=mask) for group, mask in zip(images, masks, strict=True))


class TrunkConfig(Config):
    """Settings of a trunk; one subclass per family.

    Attributes:
        family: name of the family, that of its file; each subclass knows one.
        image_size: side in pixels of the pictures it is made for.
        patch_size: side of a patch in pixels.
    """

    family: Any
    image_size: int
    patch_size: int

    @abstractmethod
    def usual_patch_size(self, image_size: int) -> int:
        """The patch size to take for pictures of a size where none is given."""

    @abstractmethod
    def build(self) -> Trunk:
        """A trunk with random weights, drawn from PyTorch's generator."""


class TextTrunk(nn.Module, ABC):
    """Numbers of text tokens in, one vector for each out.

    Attributes:
        embed_dim: width of the vectors.
        context_length: most tokens of a text.
        vocab_size: how many different tokens there are.
        looks_back: whether a token's vector depends on it and those before it alone.
        token_embedding: a vector for each token of the vocabulary.
    """

    embed_dim: int
    context_length: int
    vocab_size: int
    looks_back: bool
    token_embedding: nn.Embedding

    @abstractmethod
    def forward(self, tokens: Int64[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Encode texts of at most `context_length` tokens, each from 0 to `vocab_size` - 1."""

    def encode(self, vectors: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """The same of vectors that stand where those of tokens do, so that some of them can be learned.

        Raises:
            InputError: the trunk takes tokens alone.
        """
        del vectors
        raise InputError(
            "a text trunk that takes vectors for words", f"{type(self).__name__} takes tokens", "take another model"
        )

    def lengths(self, tokens: Int64[Tensor, "B T"], places: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
        """How many tokens of each text the vector at a place depends on; the others need not be computed.

        Args:
            tokens: of the texts.
            places: one of each text.
        """
        return places + 1 if self.looks_back else places.new_full(places.shape, tokens.shape[1])


class TextTrunkConfig(Config):
    """Settings of a trunk for text; one subclass per family.

    Attributes:
        context_length: most tokens of a text.
    """

    context_length: int

    @abstractmethod
    def build(self) -> TextTrunk:
        """A trunk with random weights, drawn from PyTorch's generator."""


class Losses(NamedTuple):
    """What one forward pass of an objective returns.

    Attributes:
        total: the number to minimise.
        terms: its parts and other figures worth a log line, detached.
        embeddings: the representations being learned, detached; the engine watches their spread to tell collapse.
    """

    total: Float[Tensor, ""]
    embeddings: Float[Tensor, "B D"]
    terms: Mapping[str, Float[Tensor, ""]]


class Objective(nn.Module, ABC):
    """How to learn: owns student, teacher and heads, and knows no loop.

    A subclass is made by its module's `Config.build(trunk)`. The engine calls `forward` on batches made to the order of
    `views`, then the optimiser, then `after_step`.

    Attributes:
        trunk: what learns by gradients.
    """

    trunk: Trunk

    @property
    def kept(self) -> Trunk:
        """What is worth keeping when training ends: the teacher's trunk where there is one that is better."""
        return self.trunk

    @property
    def kept_pool(self) -> nn.Module | None:
        """What makes one vector of its tokens and may have learned to; None where the method has no need of one."""
        return None

    @abstractmethod
    def views(self) -> tuple[ViewSpec, ...]:
        """The views of each picture that a batch must hold, in order."""

    def texts(self) -> tuple[TextSpec, ...]:
        """The texts about each picture that a batch must hold, in order; none where only pictures are learned from."""
        return ()

    def groups(self) -> tuple[LearningGroup, ...]:
        """All parameters that learn, those with rates of their own apart."""
        return (LearningGroup(tuple(part for part in self.parameters() if part.requires_grad)),)

    @abstractmethod
    def forward(self, batch: Views, progress: float) -> Losses:
        """The losses on one batch.

        Args:
            batch: made to the order of `views`.
            progress: share of training that is done (0 to 1); temperatures and the like follow it.
        """

    def doubt(self, terms: Mapping[str, float]) -> str | None:
        """What the figures of one step say is wrong with what is learned; None where they look well.

        The engine, which knows no method, asks after every step: it warns when the answer lasts, and stops the run when
        it goes on. A phase that healthy runs pass through at their start may be told here; it does not last.

        Args:
            terms: as `forward` returned them.

        Returns:
            A sentence without its full stop, with the figures in it ("the teacher gives all pictures one answer ...").
        """
        del terms
        return None

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with the share of training done (0 to 1); teachers are updated here."""


class ObjectiveConfig(Config):
    """Settings of an objective; one subclass per method."""

    @abstractmethod
    def build(self, trunk: Trunk) -> Objective:
        """Wire the objective around a trunk; heads get random weights from PyTorch's generator.

        Raises:
            InputError: the trunk lacks an ability that the method needs.
        """


class Model(nn.Module):
    """Trunk and heads wired together.

    Attributes:
        tasks: what it serves.
        reads_text: whether it needs a tokenizer.
        config: the `Config` that it was built from; each subclass has one of its own.
    """

    tasks: tuple[str, ...]
    reads_text: bool = False
    config: Any
