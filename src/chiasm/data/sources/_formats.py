"""The registry of sources, and which format a path has."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from chiasm.core.registry import Registry

SOURCES = Registry("chiasm.data.sources", "source")


def path_formats() -> tuple[tuple[str, ModuleType], ...]:
    """Names and modules of the sources that lie at a path, the most particular first."""
    modules = [(name, SOURCES.module(name)) for name in SOURCES.names()]
    found = [(name, module) for name, module in modules if hasattr(module, "recognises")]
    return tuple(sorted(found, key=lambda item: item[1].PRECEDENCE))


def format_of(path: Path) -> str | None:
    """The first format that recognises a path."""
    return next((name for name, module in path_formats() if module.recognises(path)), None)
