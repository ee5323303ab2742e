"""The folder is the registry: one file is one registered thing, and its file name is its name.

A `Registry` lists the public modules of a package without importing them, imports the one that is asked for, and
answers an unknown name with the nearest known one. Files whose name begins with an underscore are parts, not entries.

A registered module offers either a `Config` class (for things that are built: trunks, heads, models, objectives) or a
callable with the module's own name (for things that are called: tasks, evaluations, recipes, chapters).
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from chiasm.core.errors import UnknownNameError


class Registry:
    """The entries of one package.

    Args:
        package: dotted name of the package whose files are the entries.
        kind: what an entry is called in messages ("objective").
    """

    def __init__(self, package: str, kind: str) -> None:
        self.package = package
        self.kind = kind

    @cached_property
    def _files(self) -> dict[str, Path]:
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise UnknownNameError("package", self.package, [])
        files: dict[str, Path] = {}
        for folder in map(Path, spec.submodule_search_locations):
            for path in sorted(folder.iterdir()):
                is_module = path.suffix == ".py"
                is_package = path.is_dir() and (path / "__init__.py").exists()
                if (is_module or is_package) and not path.name.startswith("_"):
                    files[path.stem] = path if is_module else path / "__init__.py"
        return files

    def names(self) -> tuple[str, ...]:
        """Names of all entries, sorted; nothing is imported."""
        return tuple(sorted(self._files))

    def summary(self, name: str) -> str:
        """First line of an entry's module docstring; nothing is imported.

        Raises:
            UnknownNameError: no file answers to `name`.
        """
        tree = ast.parse(self._file(name).read_text(encoding="utf-8"))
        return (ast.get_docstring(tree) or "").split("\n", 1)[0]

    def module(self, name: str) -> ModuleType:
        """Import and return an entry's module.

        Raises:
            UnknownNameError: no file answers to `name`.
        """
        self._file(name)
        return importlib.import_module(f"{self.package}.{name.replace('-', '_')}")

    def function(self, name: str) -> Callable[..., Any]:
        """The entry's callable: the one that bears the module's own name."""
        return getattr(self.module(name), name.replace("-", "_"))

    def config(self, name: str) -> type[Any]:
        """The entry's `Config` class, whose `build` makes the thing."""
        return self.module(name).Config

    def _file(self, name: str) -> Path:
        path = self._files.get(name.replace("-", "_"))
        if path is None:
            raise UnknownNameError(self.kind, name, self.names())
        return path
