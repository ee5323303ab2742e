"""What recipes with texts share: the vocabulary of the captions, and the two encoders put together as a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source
from chiasm.core.protocols import Objective
from chiasm.core.seeds import stream
from chiasm.core.views import TextSpec
from chiasm.data.processors import num_processors
from chiasm.data.texts import TextMaker
from chiasm.data.tokenizer import Config as TokenizerConfig
from chiasm.data.tokenizer import Tokenizer
from chiasm.data.vocabulary import learn_vocabulary
from chiasm.models import dual_encoder, encoder, text_encoder, vision_language
from chiasm.objectives import vision_language as writes
from chiasm.objectives._contrastive import Contrastive, PicturesAndTexts
from chiasm.recipes._parts import whole_state

MOST_READ = 4_000
"""Pictures whose texts a vocabulary is learned from; words that none of so many has are spelled."""


@dataclass(frozen=True)
class Language:
    """The words of a source.

    Attributes:
        data: pictures with captions.
        size: most tokens of the vocabulary.
        seed: draws the pictures whose texts are read.
    """

    data: Source
    size: int
    seed: int

    @cached_property
    def vocabulary(self) -> str:
        """JSON text of a tokenizer; the same in all processes and whenever a run goes on.

        Raises:
            InputError: no picture has a caption.
        """
        texts = list(self._texts())
        if not texts:
            do = "name pictures with captions: a table with a caption column, shards with .txt, or the embedded world"
            raise InputError("pictures with captions", f"{self.data.name} has none", do)
        return learn_vocabulary(texts, self.size)

    @property
    def num_tokens(self) -> int:
        """Of the vocabulary."""
        return self.tokenizer(1).vocab_size

    def tokenizer(self, length: int) -> Tokenizer:
        """What turns texts into rows of so many tokens."""
        return TokenizerConfig().build(self.vocabulary, length)

    def makers(self, specs: Sequence[TextSpec]) -> tuple[TextMaker, ...]:
        """What makes texts to the order of an objective."""
        return tuple(TextMaker(spec, self.tokenizer(spec.length)) for spec in specs)

    def _texts(self) -> Iterator[str]:
        """Captions, questions and answers of pictures spread over the source, in its order."""
        places = np.sort(stream(self.seed, "vocabulary").permutation(len(self.data))[:MOST_READ])
        with ThreadPoolExecutor(num_processors()) as pool:
            for texts in pool.map(self._texts_of, places.tolist()):
                yield from texts

    def _texts_of(self, place: int) -> tuple[str, ...]:
        try:
            example = self.data.read(place, 1)
        except BrokenPictureError:
            # Told when the run meets it.
            return ()
        asked = (text for one in example.questions for text in (one.question, one.answer))
        return (*example.captions, *asked)


def check_locked(settings: Contrastive, start_from: str | None) -> None:
    """Refuse to read a trunk that has learned nothing.

    Raises:
        InputError: the trunk is to stay as it is, but none was named.
    """
    if settings.locked and start_from is None:
        do = "name one with --start-from, or leave out --objective.locked"
        raise InputError("a trained trunk that stays as it is", "none was named", do)


def both_encoders(pictures: encoder.Encoder, learned: Objective) -> dual_encoder.DualEncoder:
    """The model that is kept of a run that tied pictures to texts.

    Args:
        pictures: the trunk that was learned, and its pool.
        learned: the rest.
    """
    both = _tied(learned)
    state = whole_state(both)
    settings: dict[str, Any] = {"logit_scale": state["logit_scale"].item()}
    if "logit_bias" in state:
        settings["logit_bias"] = state["logit_bias"].item()
    model = dual_encoder.Config(
        image=pictures.config.model_copy(update={"projection": both.settings.embed_dim}),
        text=_reader(both),
        **settings,
    ).build()
    _fill(model, pictures, state)
    return model


def writing_model(pictures: encoder.Encoder, learned: Objective) -> vision_language.VisionLanguage:
    """The model that is kept of a run that also learned to write.

    Args:
        pictures: the trunk that was learned, and its pool.
        learned: the rest.
    """
    both = _tied(learned)
    state = whole_state(both)
    if not isinstance(both.settings, writes.Config):
        raise TypeError(f"{type(learned).__name__} has no writer")
    model = vision_language.Config(
        image=pictures.config.model_copy(update={"projection": both.settings.embed_dim}),
        text=_reader(both),
        writer=both.settings.writer,
        logit_scale=state["logit_scale"].item(),
    ).build()
    _fill(model.both, pictures, state)
    model.writer.load_state_dict(_within("writer.", state))
    return model


def _fill(model: dual_encoder.DualEncoder, pictures: encoder.Encoder, state: Mapping[str, Tensor]) -> None:
    """Give both encoders what was learned; the scale and bias are in their settings."""
    model.image_encoder.load_state_dict({**pictures.state_dict(), "projection.weight": state["projection.weight"]})
    # "text_trunk.", "text_pool." and "text_projection." are parts of one encoder there.
    model.text_encoder.load_state_dict(_within("text_", state))


def _reader(learned: PicturesAndTexts) -> text_encoder.Config:
    """The text side as a model has it."""
    return text_encoder.Config(trunk=learned.reading, pool=learned.reading_by, projection=learned.settings.embed_dim)


def _tied(learned: Objective) -> PicturesAndTexts:
    if not isinstance(learned, PicturesAndTexts):
        raise TypeError(f"{type(learned).__name__} has no text encoder")
    return learned


def _within(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a part, by its own names."""
    return {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
