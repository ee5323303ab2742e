"""Trunk and heads wired together; one file per kind of model."""

from chiasm.core.registry import Registry

registry = Registry("chiasm.models", "kind of model")
