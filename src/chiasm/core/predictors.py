"""The numpy side: what tasks ask of a model, and the records that they answer with.

This is the border between arrays that a person handles and tensors. `serve` implements these protocols over models;
tasks and evaluations are written against them, so that they need no PyTorch and every surface can bind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Protocol, runtime_checkable

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


HeatMethod = Literal["relevance", "rollout", "grad-cam"]
"""How a heat map is made: attention that raised the score, attention alone, or patch tokens along the gradient."""


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """How much each part of pictures had to do with an answer, in the source's order.

    Attributes:
        heat: of each patch, row by row from the top left, at least 0; sums to 1 over a picture, or is 0 everywhere
            where nothing spoke for the answer.
        keys: identity of each picture within its source.
        method: how the maps were made.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    heat: Float[np.ndarray, "B h w"]
    keys: tuple[str, ...]
    method: HeatMethod
    skipped: tuple[tuple[str, str], ...] = ()


PatchView = Literal["pca", "heads", "similarity"]
"""How patches are shown: components as colours, attention of each head, or how alike they are to one that is chosen."""


@dataclass(frozen=True, slots=True)
class PatchTokens:
    """What the patches of pictures are to a model, in the source's order.

    Attributes:
        squares: the pictures as the model saw them, RGB, 0 to 255.
        tokens: of each patch, row by row from the top left.
        keys: identity of each picture within its source.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    squares: UInt8[np.ndarray, "B H W 3"]
    tokens: Float[np.ndarray, "B h w D"]
    keys: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HeadMaps:
    """Where each head of a model's last look at pictures looked, in the source's order.

    Attributes:
        squares: the pictures as the model saw them, RGB, 0 to 255.
        attention: of each head, the share that each patch got, row by row from the top left; sums to at most 1 over a
            picture, the rest being that of the tokens before the patches.
        looks: what looked, in words.
        keys: identity of each picture within its source.
        skipped: keys of the pictures that could not be read, with the reason.
    """

    squares: UInt8[np.ndarray, "B H W 3"]
    attention: Float[np.ndarray, "B A h w"]
    looks: str
    keys: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Explainer(Protocol):
    """A model that shows where in a picture its answer comes from.

    Attributes:
        encoder: the model as one that turns pictures into vectors.
    """

    @property
    def encoder(self) -> Encoder: ...

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        """The box (`xyxy` in pixels) of a picture of this size that the patches cover; it may reach beyond it."""
        ...

    def heat(self, source: Source, directions: Float[np.ndarray, "B D"] | None, method: HeatMethod | None) -> HeatMaps:
        """Heat maps of the readable pictures of a source.

        Args:
            source: the pictures.
            directions: for each of them, how a score changes with the numbers of its vector at its own length; None to
                ask what the model looks at, whatever the answer.
            method: how; None for the best that the model allows.

        Raises:
            InputError: the model does not allow the method, or the method needs directions and there are none.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...

    def patches(self, source: Source, size_px: int | None) -> PatchTokens:
        """The patch tokens of the readable pictures of a source, where the trunk ends.

        Args:
            source: the pictures.
            size_px: side of the squares that the model is given; None for the size that it was made for.

        Raises:
            InputError: the trunk does not take this size, or the tokens of all pictures are too many to be kept.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...

    def heads(self, source: Source, size_px: int | None) -> HeadMaps:
        """Where the heads of the last block look from the class token, or those of the pool from its query.

        Args:
            source: the pictures.
            size_px: as of `patches`.

        Raises:
            InputError: no token looks at all patches to make the picture's vector, or as of `patches`.
            TooManyBrokenError: more of the source is broken than is tolerated.
        """
        ...


@runtime_checkable
class HeatPainter(Protocol):
    """Draws heat maps over pictures."""

    def __call__(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        heat: Float[np.ndarray, "h w"],
        box: tuple[float, float, float, float],
        title: str,
        note: str,
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture with its heat map over it and a legend below.

        Args:
            picture: RGB, 0 to 255.
            heat: at least 0.
            box: the part of the picture that the map covers, `xyxy` in its pixels.
            title: what is explained.
            note: further facts, in small print.
        """
        ...


@runtime_checkable
class PatchPainter(Protocol):
    """Draws what patches are to a model."""

    def components(
        self, square: UInt8[np.ndarray, "H W 3"], colours: Float[np.ndarray, "h w 3"], title: str, note: str
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture beside its patches in colours.

        Args:
            square: RGB, 0 to 255.
            colours: of each patch, RGB, 0 to 1.
            title: what is shown.
            note: further facts, in small print.
        """
        ...

    def heads(
        self, square: UInt8[np.ndarray, "H W 3"], attention: Float[np.ndarray, "A h w"], title: str, note: str
    ) -> UInt8[np.ndarray, "_ _ 3"]:
        """A picture and one panel for each head with its attention over it.

        Args:
            square: RGB, 0 to 255.
            attention: of each patch, at least 0; every head is drawn on a scale of its own.
            title: what is shown.
            note: further facts, in small print.
        """
        ...

    def page(self, out: Path, found: PatchTokens, colours: Float[np.ndarray, "B h w 3"], title: str, note: str) -> None:
        """Write a page on which a patch can be chosen to see how alike all others are to it.

        Args:
            out: the file.
            found: pictures and patches.
            colours: of each patch, RGB, 0 to 1.
            title: of the page.
            note: further facts, below the title.

        Raises:
            InputError: the page would be too large, or the place cannot be written.
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
