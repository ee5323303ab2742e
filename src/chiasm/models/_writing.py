"""What every model promises that reads or writes texts about pictures: captions, answers, whether a text fits.

A picture is seen once (`see`); whatever is read or written about it starts from that. Words are turned into tokens by
the vocabulary that comes with the weights; how a text begins, and when it ends, is the model's own business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from chiasm.data.tokenizer import Tokenizer
from chiasm.ops.writing import Step, Stops

SeenT = TypeVar("SeenT")


class Draft(NamedTuple):
    """Texts that are about to be written, all begun with as many tokens.

    Attributes:
        step: asks the model for the next token.
        beginnings: of the texts, one a picture.
        stops: when a text of this kind ends.
        num_beams: how many beginnings the model's authors keep; 1 for the most probable token each time.
        room: tokens that the model has places for after the beginnings; None where there are more than any text has.
    """

    step: Step
    beginnings: Int64[Tensor, "B Q"]
    stops: Stops
    num_beams: int = 1
    room: int | None = None


class Seeing(ABC, Generic[SeenT]):
    """What all sides of a model share that look at pictures while they read or write.

    Attributes:
        gives_vectors: whether the encoder's vectors of pictures can be made of what was seen of them.
    """

    gives_vectors: bool = False

    @abstractmethod
    def tokenizer(self, vocabulary: str) -> Tokenizer:
        """What turns words into this model's tokens and back.

        Args:
            vocabulary: JSON text of a tokenizer.

        Raises:
            InputError: it cannot be read.
        """

    @abstractmethod
    def see(self, images: UInt8[Tensor, "B 3 H W"]) -> SeenT:
        """What the model keeps of pictures of RGB 0 to 255; everything about them starts from here."""

    @abstractmethod
    def some(self, seen: SeenT, rows: Int64[Tensor, " _"]) -> SeenT:
        """The same of some of the pictures, in that order."""

    def vectors(self, seen: SeenT) -> Float[Tensor, "B D"]:
        """What the model's encoder would make of the same pictures; not called unless `gives_vectors`."""
        raise TypeError(f"{type(self).__name__} does not keep what the vectors are made of")


class Writing(Seeing[SeenT]):
    """The side of a model that writes about pictures.

    Attributes:
        captions: whether it was made to write captions; else `caption` is not called.
        answers: whether it was made to answer questions; else `answer` is not called.
    """

    captions: bool = True
    answers: bool

    @abstractmethod
    def caption(self, seen: SeenT, tokenizer: Tokenizer, beginning: str = "") -> Draft:
        """Begin a caption of each picture.

        Args:
            seen: the pictures.
            tokenizer: as `tokenizer` made it.
            beginning: words that every caption goes on from; the model's own way to begin comes before them.

        Raises:
            InputError: they leave no room for a caption.
        """

    @abstractmethod
    def answer(self, seen: SeenT, tokenizer: Tokenizer, questions: Sequence[str]) -> Draft:
        """Begin an answer to a question about each picture.

        Args:
            seen: the pictures.
            tokenizer: as `tokenizer` made it.
            questions: one a picture, all of as many tokens (`Tokenizer.numbers`).

        Raises:
            InputError: they leave no room for an answer.
        """


class Matching(Seeing[SeenT]):
    """The side of a model that tells whether a text belongs to a picture, reading one while it looks at the other.

    Each pair costs a pass of its own. Where many texts meet many pictures, the cosines of `PictureModel.texts` choose
    the few that are worth it.
    """

    @abstractmethod
    def log_odds(self, seen: SeenT, tokenizer: Tokenizer, texts: Sequence[str]) -> Float[Tensor, " B"]:
        """How sure the model is that each text belongs to its picture; the sigmoid of it is the probability.

        Args:
            seen: the pictures.
            tokenizer: as `tokenizer` made it.
            texts: one a picture, of any lengths.
        """


@dataclass(frozen=True, slots=True)
class Example(Generic[SeenT]):
    """What a model is shown before it writes: a picture and what should be written about it.

    Attributes:
        seen: one picture, as `Writing.see` made it; None for an example in words alone.
        text: its caption, or the answer.
        question: that was answered; empty for a caption.
    """

    seen: SeenT | None
    text: str
    question: str = ""


class Prompting(ABC, Generic[SeenT]):
    """The side of a model that goes on with any text among pictures, and so learns from examples that stand before.

    Attributes:
        picture_mark: what stands for a picture in a text.
        end_mark: what ends what belongs to one picture.
    """

    picture_mark: str
    end_mark: str

    @abstractmethod
    def after(self, examples: Sequence[Example[SeenT]]) -> Writing[SeenT]:
        """What writes about pictures as in the examples, which come before each of its texts.

        Args:
            examples: in their order; with questions before answers, without before captions.
        """

    @abstractmethod
    def go_on(self, seen: SeenT, tokenizer: Tokenizer, text: str) -> Draft:
        """Begin what comes after one text among pictures.

        Args:
            seen: the pictures, in the order of the text.
            tokenizer: as the model's `Writing.tokenizer` made it.
            text: with a `picture_mark` where each picture stands.

        Raises:
            InputError: there are not as many marks as pictures, or the text is too long.
        """
