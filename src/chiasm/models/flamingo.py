"""A language model that looks at pictures through gated layers: Flamingo, as OpenFlamingo released it.

Paper: Alayrac et al., 2022, arXiv 2204.14198, section 2; Awadalla et al., 2023, arXiv 2308.01390 (OpenFlamingo).
Differs: a text sees the patches of a picture before the final norm of their trunk, which is what OpenFlamingo's weights
were trained on; so the trunk ends without one, and the pool norms the class token (`heads.pool`: class_then_norm).
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.data.phrases import END_MARK, PICTURE_MARK
from chiasm.data.tokenizer import Tokenizer, with_tokens
from chiasm.heads import gated_layers
from chiasm.heads import resampler as resamplers
from chiasm.layers.cross_attention import Shown
from chiasm.layers.memory import Memory
from chiasm.models import encoder
from chiasm.models import language as languages
from chiasm.models._in_context import InContext
from chiasm.models.encoder import PictureModel
from chiasm.ops.interleaving import latest_picture
from chiasm.ops.writing import Step


class Config(BaseConfig):
    """What a Flamingo is made of.

    Attributes:
        image: pictures to vectors; what its trunk makes of the patches is what texts see.
        resampler: the patches of a picture to a few tokens.
        gated: the layers through which the language model looks at them.
        language: the language model.
    """

    image: encoder.Config
    resampler: resamplers.Config = resamplers.Config()
    gated: gated_layers.Config = gated_layers.Config()
    language: languages.Config = languages.Config()

    def build(self) -> Flamingo:
        """A model with random weights, its gates closed.

        Raises:
            InputError: no block of the language model would have a gated layer.
        """
        return Flamingo(self)


class Flamingo(PictureModel):
    """Texts among pictures in, what goes on with them out."""

    tasks = (*encoder.Encoder.tasks, "caption", "describe", "ask")
    reads_text = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = config.image.build()
        width = self.image_encoder.trunk.embed_dim
        self.resampler = config.resampler.build(width)
        self.language = config.language.build()
        trunk = self.language.trunk
        self.gated = config.gated.build(trunk.embed_dim, width, len(trunk.blocks))

    @property
    def encoder(self) -> encoder.Encoder:
        return self.image_encoder

    @property
    def writing(self) -> InContext:
        return InContext(self)

    @property
    def prompting(self) -> InContext:
        return InContext(self)

    @property
    def context_length(self) -> int:
        """Most tokens of a text."""
        return self.language.trunk.context_length

    def tokenizer(self, vocabulary: str) -> Tokenizer:
        """What turns texts into this model's tokens and back, its own marks among them.

        Args:
            vocabulary: JSON text of a tokenizer.

        Raises:
            InputError: it cannot be read, or has more tokens than the model.
        """
        # In the order in which OpenFlamingo numbers them.
        tokenizer = self.language.tokenizer(with_tokens(vocabulary, (END_MARK, PICTURE_MARK)))
        known = self.language.trunk.vocab_size
        if tokenizer.vocab_size > known:
            came = f"it has {tokenizer.vocab_size} with the marks {END_MARK} and {PICTURE_MARK}"
            do = "take tokenizer and weights from the same repository"
            raise InputError(f"a tokenizer of at most {known} tokens", came, do)
        return tokenizer

    def see(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B Q D"]:
        """The few tokens of each picture of RGB 0 to 255."""
        trunk = self.image_encoder.trunk
        return self.resampler(trunk(trunk.normalize(images)))

    def forward(
        self, latents: Float[Tensor, "B M Q D"], tokens: Int64[Tensor, "B T"], is_picture: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T V"]:
        """Logits of the token after each token of texts among pictures.

        Args:
            latents: of the pictures of each text, in their order (`see`).
            tokens: of the texts, each from 0 to `vocab_size` - 1; what fills up comes last.
            is_picture: which of them are the marks that pictures stand at.
        """
        shown = self.gated.show(latents, latest_picture(is_picture, latents.shape[1]))
        return self.language(tokens, before=self.gated.before(shown))

    def begin(self, latents: Float[Tensor, "B M Q D"], mark: int) -> Step:
        """What goes on with texts among pictures; every token is computed once, the pictures' keys and values too.

        Args:
            latents: of the pictures of each text, in their order.
            mark: number of the token that pictures stand at; all of them are in the beginnings.
        """
        memory = Memory()
        shown: tuple[Shown, ...] = ()

        def step(tokens: Int64[Tensor, "B Q"], rows: Int64[Tensor, " B"] | None) -> Float[Tensor, "B V"]:
            nonlocal shown
            is_first = memory.length == 0
            if is_first:
                chosen = latents if rows is None else latents[rows]
                shown = self.gated.show(chosen, latest_picture(tokens == mark, latents.shape[1]))
            elif rows is not None:
                memory.choose(rows)
                shown = tuple(each.of(rows) for each in shown)
            vectors = self.language.trunk(tokens, memory, self.gated.before(shown))[:, -1]
            if is_first:
                # Whatever is written comes after the last picture.
                shown = tuple(_last(each, latents.shape[2]) for each in shown)
            return self.language.logits(vectors)

        return step


def _last(shown: Shown, count: int) -> Shown:
    """The last tokens of what is shown, for all that look."""
    return Shown(shown.key[:, :, -count:].clone(), shown.value[:, :, -count:].clone())
