"""What all tests share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    """Tests run side by side on few cores."""
    torch.set_num_threads(1)
