"""The embedded world: a procedural picture generator that knows everything about its pictures.

A stand-in for every kind of data, made on the spot: classification (one object), detection and segmentation, captions,
questions, editing, domain shift, anomalies, and generalisation to new combinations. Every picture follows from
(seed, split, index) alone, at any size, in any order, from any thread: bit for bit on one machine, and up to the
rounding of its processor's arithmetic on another.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field, field_validator, model_validator

from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.core.example import Edit, Example, Truth
from chiasm.core.seeds import stream
from chiasm.data.world import domains, edits, splits
from chiasm.data.world.captions import captions
from chiasm.data.world.domains import DOMAINS, Domain
from chiasm.data.world.geometry import flawed
from chiasm.data.world.layout import Layout, Relation
from chiasm.data.world.questions import questions
from chiasm.data.world.render import render
from chiasm.data.world.sampler import Limits, close_up, draw_defect, draw_scene
from chiasm.data.world.scene import Scene
from chiasm.data.world.shapes import SHAPES
from chiasm.data.world.truth import main_class, scene_truth

MIXED = "mixed"
"""As a domain: each picture is in one of the four, all equally often."""


class World(Config):
    """A split of the world.

    Attributes:
        split: "train", "test" (the same distribution, other pictures) or "compositional" (only combinations of class
            and colour that neither of the others shows; see `splits`).
        size_px: side of the pictures, which are square.
        seed: another seed is another world.
        num_pictures: length; None: what the split usually has (100 000 for training, 10 000 for the others).
        domain: "photo", "sketch", "painting", "night", or "mixed".
        min_objects, max_objects: objects per picture; 1 and 1 make a plain classification set.
        close_up: share of pictures that show one object that fills most of them, before a plain wall, as in a
            catalogue.
        defects: share of pictures in which one object has a defect; the scenes are otherwise the same.
    """

    split: str = "train"
    size_px: int = Field(default=64, ge=32, le=2048)
    seed: int = Field(default=0, ge=0)
    num_pictures: int | None = Field(default=None, ge=1, le=1_000_000_000)
    domain: str = "photo"
    min_objects: int = Field(default=1, ge=1, le=8)
    max_objects: int = Field(default=6, ge=1, le=8)
    close_up: float = Field(default=0.0, ge=0, le=1)
    defects: float = Field(default=0.0, ge=0, le=1)

    @field_validator("split")
    @classmethod
    def _known_split(cls, name: str) -> str:
        return splits.split(name).name

    @field_validator("domain")
    @classmethod
    def _known_domain(cls, name: str) -> str:
        return name if name == MIXED else domains.domain(name).name

    @model_validator(mode="after")
    def _some_number_fits(self) -> World:
        if self.min_objects > self.max_objects:
            came = f"min_objects is {self.min_objects} and max_objects {self.max_objects}"
            raise InputError("min_objects up to max_objects", came, "raise max_objects or lower min_objects")
        if self.close_up and self.min_objects > 1:
            raise InputError("one object in a close-up", f"min_objects is {self.min_objects}", "leave min_objects out")
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Names that labels and the classes of objects point into."""
        return tuple(shape.name for shape in SHAPES)

    def __len__(self) -> int:
        return self.num_pictures or splits.split(self.split).length

    def key(self, index: int) -> str:
        """Identity of a picture, the same at every size and in every domain."""
        return f"{self.split}/{self._checked(index):06d}"

    def scene(self, index: int) -> Scene:
        """What a picture shows.

        Raises:
            IndexError: there is no such picture.
        """
        part = splits.split(self.split)
        is_close = self._is_close_up(self._checked(index))
        limits = Limits(1, 1) if is_close else Limits(self.min_objects, self.max_objects)
        scene = draw_scene(self.seed, part, index, limits)
        if is_close:
            scene = close_up(stream(self.seed, "world close-up", self.split, index), scene)
        if not self.defects:
            return scene
        # Its own stream, so that the same scenes exist with and without their defects.
        draw = stream(self.seed, "world defect", self.split, index)
        return draw_defect(draw, scene) if draw.random() < self.defects else scene

    def _is_close_up(self, index: int) -> bool:
        # Its own stream, so that the others are the same whatever the share is.
        return stream(self.seed, "world distance", self.split, index).random() < self.close_up

    def domain_of(self, index: int) -> Domain:
        """The domain a picture is in."""
        if self.domain != MIXED:
            return domains.domain(self.domain)
        draw = stream(self.seed, "world domain", self.split, index)
        return DOMAINS[draw.integers(len(DOMAINS))]

    def picture(self, index: int, size_px: int | None = None) -> UInt8[np.ndarray, "H W 3"]:
        """A picture alone: RGB, 0 to 255.

        Args:
            size_px: side, if other than the world's own; the scene is the same.
        """
        return render(self.scene(index), self.domain_of(index), size_px or self.size_px)

    def label(self, index: int) -> int:
        """Class of the object that shows most; nothing is drawn."""
        scene = self.scene(index)
        return main_class(scene, Layout(scene.objects))

    def truth(self, index: int, size_px: int | None = None) -> Truth:
        """Boxes, masks and classes of a picture's objects, back to front; the same in every domain."""
        return scene_truth(self.scene(index), size_px or self.size_px)

    def relations(self, index: int) -> tuple[Relation, ...]:
        """Every clear relation between two objects of a picture; both are indices into the scene's objects."""
        return Layout(self.scene(index).objects).relations

    def change(self, index: int) -> edits.Change:
        """The edit that belongs to a picture."""
        return self._change(index, self.scene(index))

    def defect_kind(self, index: int) -> str | None:
        """What is wrong with an object of a picture; None where nothing is."""
        kinds = [thing.defect.kind.name for thing in self.scene(index).objects if thing.defect is not None]
        return kinds[0] if kinds else None

    def defect_mask(self, index: int, size_px: int | None = None) -> Bool[np.ndarray, "H W"]:
        """Pixels at which a picture's defect is seen; all False where there is none."""
        return flawed(self.scene(index).objects, size_px or self.size_px)

    def example(
        self,
        index: int,
        *,
        truth: bool = False,
        language: bool = False,
        edit: bool = False,
        size_px: int | None = None,
    ) -> Example:
        """A picture and what is asked for about it.

        Args:
            truth: boxes and masks.
            language: five captions, and questions with their answers.
            edit: an instruction and the picture after following it.
            size_px: side, if other than the world's own.

        Raises:
            IndexError: there is no such picture.
        """
        scene, domain, side = self.scene(index), self.domain_of(index), size_px or self.size_px
        measured = Layout(scene.objects)
        words = stream(self.seed, "world words", self.split, index) if language else None
        return Example(
            key=self.key(index),
            picture=render(scene, domain, side),
            label=main_class(scene, measured),
            captions=captions(words, scene, domain, measured) if words else (),
            truth=scene_truth(scene, side) if truth else None,
            questions=questions(words, scene, measured) if words else (),
            edit=self._edit(index, scene, side) if edit else None,
        )

    def _edit(self, index: int, scene: Scene, size_px: int) -> Edit:
        change = self._change(index, scene)
        return Edit(change.instruction, render(change.scene, change.domain, size_px))

    def _change(self, index: int, scene: Scene) -> edits.Change:
        draw = stream(self.seed, "world edit", self.split, index)
        return edits.draw_change(draw, scene, self.domain_of(index), splits.split(self.split))

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"this world has pictures 0 to {len(self) - 1}, but {index} was asked for")
        return index
