"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    """Tests run side by side on few cores."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
