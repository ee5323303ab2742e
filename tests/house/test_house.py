"""The contracts of the house: layers, names, words, the light start."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chiasm.core.registry import Registry
from chiasm.core.shapes import ALPHABET

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
REGISTRIES = {
    "chiasm.adapt": "config",
    "chiasm.compress": "function",
    "chiasm.data.sources": "function",
    "chiasm.evaluate": "function",
    "chiasm.models": "config",
    "chiasm.objectives": "config",
    "chiasm.recipes": "function",
    "chiasm.surfaces.models": "function",
    "chiasm.surfaces.prompts": "function",
    "chiasm.tasks": "function",
    "chiasm.trunks": "config",
}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", REGISTRIES)
def test_every_entry_is_one_file_that_keeps_its_promise(package):
    registry = Registry(package, "entry")
    assert registry.names(), f"{package} has no tenant"
    for name in registry.names():
        assert registry.summary(name), f"{package}.{name} has no docstring"
        assert callable(getattr(registry, REGISTRIES[package])(name))


def test_every_room_has_a_tenant_and_every_module_a_docstring():
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path} has no docstring"
    rooms = {path.parent for path in SOURCES if path.name == "__init__.py"}
    for room in rooms:
        assert any(path.name != "__init__.py" for path in room.iterdir() if path.suffix == ".py" or path.is_dir()), room


def test_shapes_use_the_alphabet():
    pattern = re.compile(r'(?:Float|Int|Int64|Bool|UInt8|Num|Shaped|Complex)\[[\w.]+, "([^"]*)"\]')
    for path in SOURCES:
        for shape in pattern.findall(path.read_text(encoding="utf-8")):
            for axis in re.findall(r"[A-Za-z]\w*", shape):
                assert axis in ALPHABET, f"{path.name}: axis {axis!r} of {shape!r} is not in core/shapes.py"


def test_no_assert_no_bare_except_no_marks():
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplemented\b|noqa|type: ignore|pyright: ignore|pragma)")
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not marks.search(text), f"{path}: {marks.search(text)}"
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno} asserts"
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                # Foreign decoders raise whatever they stumble on; that may be caught to be told, never dropped.
                is_broad = caught in ("everything", "Exception", "BaseException")
                is_told = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                assert is_told or not is_broad, f"{path}:{node.lineno} swallows errors"


def test_no_drawer_for_odds_and_ends():
    names = {path.stem for path in SOURCES}
    assert not names & {"utils", "util", "misc", "helpers", "common"}


def test_help_does_not_import_torch():
    code = (
        "import sys; from chiasm.surfaces.cli import run; run(['--help']); "
        "heavy = {'torch', 'numpy', 'sklearn', 'lancedb', 'cv2'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


def test_imports_keep_to_the_house():
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert done.returncode == 0, done.stdout


def test_lint_is_clean():
    ruff = str(Path(sys.executable).with_name("ruff"))
    for words in (("check", "."), ("format", "--check", ".")):
        done = run(ruff, *words)
        assert done.returncode == 0, done.stdout


def test_types_are_clean():
    done = run(str(Path(sys.executable).with_name("basedpyright")))
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_page_of_models_lists_every_layout_within_the_limits():
    """Mended by `python -m pytest -n 2 tests/oracle/layouts --write-models-page`."""
    import models_page

    assert not models_page.complaints()


def test_every_layout_keeps_its_promise():
    registry = Registry("chiasm.weights.layouts", "layout")
    for name in registry.names():
        assert registry.summary(name), name
        module = registry.module(name)
        assert all(callable(getattr(module, part, None)) for part in ("recognises", "read", "translate")), name
