"""chiasm: one trunk, many heads, every surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm.core.version import __version__

if TYPE_CHECKING:
    from chiasm.models.encoder import PictureModel

__all__ = ["__version__", "load"]


def load(name: str) -> PictureModel:
    """A model with its weights, ready to answer: a PyTorch module made of parts that can be read and changed.

    Args:
        name: the folder of a model that chiasm trained; a folder or single file of somebody else's checkpoint; a name
            on the Hugging Face hub (`openai/clip-vit-base-patch32`). See docs/models.md for what is read.

    Raises:
        InputError: nothing usable is there, or its weights do not fit; told in one line.
    """
    from chiasm.models import load_picture_model

    return load_picture_model(name)
