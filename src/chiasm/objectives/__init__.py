"""How to learn without labels; one file per method."""

from chiasm.core.registry import Registry

registry = Registry("chiasm.objectives", "objective")
