"""A person's folder of pictures, and a model trained on it for a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from drawn import FAST, draw_pictures

from chiasm.surfaces.cli import run

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str]) -> Shell:
    """Run a command line; returns exit code, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run([str(word) for word in words])
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pictures(tmp_path_factory.mktemp("own") / "pictures", 12)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "first"
    assert run(["train", "simclr", "--data", str(pictures), "--out", str(out), "--steps", "4", *FAST]) == 0
    return out
