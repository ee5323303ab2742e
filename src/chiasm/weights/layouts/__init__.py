"""Foreign layouts: how other libraries name and store what our models hold; one file per layout.

A layout is a module with three functions:

    recognises(checkpoint: Checkpoint) -> bool
        whether the files are in this layout, judged by settings and names of tensors
    read(checkpoint: Checkpoint) -> Reading
        which kind of model they make and from which settings, in our words
    translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]
        the weights under our names; what it has no rule for keeps its name and fails the loading

Nothing here builds a model. Layouts are asked in the order of their names; no two recognise the same checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from chiasm.core.registry import Registry

if TYPE_CHECKING:
    from chiasm.weights.checkpoint import Checkpoint

registry = Registry("chiasm.weights.layouts", "layout")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a layout makes of a checkpoint.

    Attributes:
        model: name of the kind of model, as in `chiasm.models`.
        config: the settings that this kind is built from, as plain values.
        tokenizer: which of the parts (`Checkpoint.parts`) has the tokenizer; None where it lies beside the weights.
    """

    model: str
    config: dict[str, Any]
    tokenizer: str | None = None


def layout_of(checkpoint: Checkpoint) -> tuple[str, ModuleType] | None:
    """Name and module of the layout that a checkpoint is in; None where no layout recognises it."""
    for name in registry.names():
        module = registry.module(name)
        if module.recognises(checkpoint):
            return name, module
    return None
