"""What all tests share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_limits

from chiasm.engine import precision


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    """Tests run side by side on few cores."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left in the cache folder of the person who runs the tests, nor found there."""
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models compute in float32 also where the processor has bfloat16: for tests that compare digits."""
    monkeypatch.setattr(precision, "_bf16_unit", lambda device: (False, f"digits are compared on {device}"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-models-page", action="store_true", help="measure anew what docs/models.md says")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-models-page"):
        # Not in a worker of a distributed run: those inherit it.
        record = Path(os.environ.setdefault("CHIASM_MODELS_RECORD", str(config.rootpath / ".models-record")))
        if "PYTEST_XDIST_WORKER" not in os.environ:
            record.unlink(missing_ok=True)
        _record_kinds(record)


def _record_kinds(record: Path) -> None:
    """Write down as which kind of model every checkpoint was read."""
    from chiasm.weights.checkpoint import Foreign

    understand = Foreign.__init__

    def noted(self: Foreign, *args: Any, **kwargs: Any) -> None:
        understand(self, *args, **kwargs)
        with record.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"layout": self.layout, "kind": self.model}) + "\n")

    Foreign.__init__ = noted


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--write-models-page") and "PYTEST_XDIST_WORKER" not in os.environ and exitstatus == 0:
        import models_page

        record = Path(os.environ["CHIASM_MODELS_RECORD"])
        models_page.write(record)
        record.unlink()
