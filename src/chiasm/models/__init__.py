"""Trunk and heads wired together; one file per kind of model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm.core.registry import Registry

if TYPE_CHECKING:
    from chiasm.models.encoder import PictureModel
    from chiasm.models.language import LanguageModel

registry = Registry("chiasm.models", "kind of model")


def load_picture_model(name: str) -> PictureModel:
    """The model that a text names, with its weights; see `weights.find`.

    Raises:
        InputError: nothing usable is there, or its weights do not fit.
    """
    from chiasm.models._store import load_model
    from chiasm.models.encoder import PictureModel
    from chiasm.weights.find import find

    return load_model(find(name), PictureModel)


def load_language_model(name: str) -> tuple[LanguageModel, str]:
    """The language model that a text names, with its weights, and its vocabulary: JSON text of a tokenizer.

    Raises:
        InputError: nothing usable is there, its weights do not fit, or it has no tokenizer.
    """
    from chiasm.models._store import load_model
    from chiasm.models.language import LanguageModel
    from chiasm.weights.find import find

    stored = find(name)
    return load_model(stored, LanguageModel), stored.tokenizer()
