"""The numpy side: what tasks ask of a model, and the records that they answer with; explanations in `core.explaining`.

This is the border between arrays that a person handles and tensors. `serve` implements these protocols over models;
tasks and evaluations are written against them, so that they need no PyTorch and every surface can bind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import BaseModel, ConfigDict

from chiasm.core.example import Source
from chiasm.core.manner import Manner


class Record(BaseModel):
    """Base of every answer that leaves a task: plain, typed, and printable as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of the readable pictures of a source, in the source's order.

    Attributes:
        vectors: one row of length 1 per picture.
        norms: length of each vector before it was scaled; a head of the model itself reads `vectors * norms`.
        keys: identity of each picture within its source.
        labels: class index of each picture, -1 where it has none.
        classes: names that the labels point into.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    vectors: Float[np.ndarray, "B D"]
    norms: Float[np.ndarray, " B"]
    keys: tuple[str, ...]
    labels: Int[np.ndarray, " B"]
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Classifier(Protocol):
    """Vectors to classes: fitted on few labels, made from names in words, or the head of a trained model."""

    def probabilities(self, vectors: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B K"]:
        """Probability of each class for each vector; rows sum to 1, unless each class is judged on its own."""
        ...

    def gradients(self, vectors: Float[np.ndarray, "B D"], classes: Int[np.ndarray, " B"]) -> Float[np.ndarray, "B D"]:
        """How the log-odds of one class against the others, for each vector, change with the vector's numbers."""
        ...


@runtime_checkable
class OwnClasses(Classifier, Protocol):
    """The classes that a model was trained to tell apart; its `probabilities` reads vectors of their own length.

    Attributes:
        classes: their names, in the order of the probabilities.
    """

    classes: tuple[str, ...]


@runtime_checkable
class TextEncoder(Protocol):
    """The side of a model that turns text into vectors in the space of its pictures.

    Attributes:
        logit_scale: what a cosine is multiplied by before the softmax or sigmoid of the training objective.
        logit_bias: what is added after that; None for a model trained with a softmax (CLIP), a number for one trained
            with a sigmoid (SigLIP).
        fingerprint: changes whenever weights or vocabulary change.
    """

    logit_scale: float
    logit_bias: float | None

    @property
    def fingerprint(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "B D"]:
        """Vectors of length 1 of texts, in their order."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """A model that turns pictures into one vector each.

    Attributes:
        name: how a person calls it (path of the artefact or public name).
        fingerprint: changes whenever weights or preprocessing change; vectors of different fingerprints do not mix.
        embed_dim: width of the vectors.
        text: the side that reads text; None where the model was not tied to language.
        own_classes: the classes that it was trained on; None where it has no such head.
    """

    name: str
    embed_dim: int

    @property
    def fingerprint(self) -> str: ...

    @property
    def text(self) -> TextEncoder | None: ...

    @property
    def own_classes(self) -> OwnClasses | None: ...

    def embed(self, source: Source) -> Embeddings:
        """Vectors of all readable pictures of a source.

        Raises:
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...


@dataclass(frozen=True, slots=True)
class Captions:
    """Sentences about pictures of a source.

    Attributes:
        texts: the sentence about each picture, by its key; a picture may be missing.
        skipped: keys of the pictures that could not be read, with the reason.
        certainty: the mean probability of a token of each sentence, by the picture's key; empty where nobody knows.
    """

    texts: Mapping[str, str]
    skipped: tuple[tuple[str, str], ...] = ()
    certainty: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Captioner(Protocol):
    """What says in a sentence what a picture shows.

    Attributes:
        name: how a person calls it.
        fingerprint: changes whenever its sentences could.
    """

    name: str

    @property
    def fingerprint(self) -> str: ...

    def caption(self, source: Source, manner: Manner | None = None, beginning: str = "") -> Captions:
        """One sentence about each readable picture of a source.

        Args:
            source: the pictures.
            manner: how to write; its own way unless given.
            beginning: words that every sentence goes on from.

        Raises:
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to questions about pictures of a source.

    Attributes:
        texts: the answers by picture and question; a pair may be missing.
        skipped: keys of the pictures that could not be read, with the reason.
        certainty: of each answer: the mean probability of a token, or that of the choice; empty where nobody knows.
        ranked: probability of each choice, by picture and question; empty where there were no choices.
    """

    texts: Mapping[tuple[str, str], str]
    skipped: tuple[tuple[str, str], ...] = ()
    certainty: Mapping[tuple[str, str], float] = field(default_factory=dict)
    ranked: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)


@runtime_checkable
class Answerer(Protocol):
    """What answers questions about pictures.

    Attributes:
        name: how a person calls it.
        fingerprint: changes whenever its answers could.
    """

    name: str

    @property
    def fingerprint(self) -> str: ...

    def answer(
        self,
        source: Source,
        questions: Mapping[str, Sequence[str]],
        choices: Sequence[str] = (),
        manner: Manner | None = None,
    ) -> Answers:
        """Answers to all questions about the readable pictures of a source.

        Args:
            source: the pictures.
            questions: what is asked about each picture, by its key; a picture without any need not be read.
            choices: the answers to choose from, whichever the question; empty to answer freely.
            manner: how to write a free answer; its own way unless given.

        Raises:
            InputError: it cannot answer freely, or cannot choose.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...


@runtime_checkable
class Promptable(Answerer, Protocol):
    """What also learns from examples that it is shown before it is asked, without being trained."""

    def after(self, examples: Source, shots: int) -> Answerer:
        """What answers after it was shown pictures with questions and their answers.

        Args:
            examples: such pictures.
            shots: how many of them.

        Raises:
            InputError: it cannot learn in this way, or there are not so many examples.
        """
        ...


@dataclass(frozen=True, slots=True)
class Matches:
    """How well texts go with pictures of a source.

    Attributes:
        cosines: of picture and text, by the picture's key and the text; empty where the model has no space for both.
        probabilities: that they belong together, whatever else there is; empty where the model cannot tell.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    cosines: Mapping[tuple[str, str], float]
    probabilities: Mapping[tuple[str, str], float]
    skipped: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Matcher(Protocol):
    """What tells whether texts belong to pictures.

    Attributes:
        name: how a person calls it.
    """

    name: str

    def match(self, source: Source, texts: Mapping[str, Sequence[str]]) -> Matches:
        """How well texts go with the readable pictures of a source.

        Args:
            source: the pictures.
            texts: those of each picture, by its key; a picture without any need not be read.

        Raises:
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...


@dataclass(frozen=True, slots=True)
class PictureMap:
    """Pictures in two dimensions, as models see them.

    Attributes:
        models: names of the models; one, or two whose maps are turned onto each other.
        points: places of the pictures to each model.
        labels: class of each picture, -1 where it has none.
        classes: names that the labels point into.
        keys: identity of each picture.
        picture: reads one of them, RGB, 0 to 255.
    """

    models: tuple[str, ...]
    points: tuple[Float[np.ndarray, "S 2"], ...]
    labels: Int[np.ndarray, " S"]
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    picture: Callable[[int], UInt8[np.ndarray, "H W 3"]]


@runtime_checkable
class MapPainter(Protocol):
    """Draws maps of pictures."""

    def page(self, out: Path, found: PictureMap, title: str, note: str) -> None:
        """Write a page with the map of each model, and with what moves from one to the other where there are two.

        Args:
            out: the file.
            found: the maps.
            title: of the page.
            note: further facts, below the title.

        Raises:
            InputError: the place cannot be written.
        """
        ...

    def animation(self, out: Path, found: PictureMap) -> None:
        """Write an animated .gif of the pictures that move from one model's map to the other's and back.

        Args:
            out: the file.
            found: the maps of two models.

        Raises:
            InputError: the place cannot be written.
        """
        ...


@runtime_checkable
class Learner(Protocol):
    """A way to fit a classifier on few labelled vectors."""

    def fit(self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], num_classes: int) -> Classifier:
        """Fit; every class 0 to num_classes - 1 occurs at least once in `labels`."""
        ...


@dataclass(frozen=True, slots=True)
class NamedClasses:
    """Classes that are known by their names too, as a model that reads text sees them.

    Attributes:
        names: of the classes.
        vectors: of length 1, what sentences about each class mean to the model.
        text: the side of the model that reads.
    """

    names: tuple[str, ...]
    vectors: Float[np.ndarray, "K D"]
    text: TextEncoder


@runtime_checkable
class NamedLearner(Protocol):
    """A way to fit a classifier on few labelled vectors of classes whose names a model can read."""

    def fit_named(
        self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], named: NamedClasses
    ) -> Classifier:
        """Fit.

        Args:
            vectors: of length 1.
            labels: index into the names; a class may have no example.
            named: the classes.

        Raises:
            InputError: the model cannot be learned through in this way.
        """
        ...


AnyLearner = Annotated[Learner | NamedLearner, "a way to learn from examples"]
"""Whatever learns from examples, by their classes' names or not."""
