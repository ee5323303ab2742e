"""Two processes with half a batch each learn what one learns from the whole: losses, gradients, weights, teachers."""

from __future__ import annotations

import pytest
import torch
from torch.multiprocessing.spawn import spawn
from two_ranks_of_objectives import SETTINGS, batch_of, half_of, half_of_all, learned, losses, objective_of


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("halves")
    spawn(half_of_all, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_losses(halves):
    for found, expected in zip(halves[0][0], losses(None), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", SETTINGS)
def test_objectives(halves, name):
    expected = learned(name, None)
    for _, found in halves:
        assert found[name].keys() == expected.keys()
        for path, value in expected.items():
            torch.testing.assert_close(
                found[name][path], value, rtol=1e-7, atol=1e-9, msg=lambda told, p=path: p + told
            )


@pytest.mark.parametrize("name", SETTINGS)
def test_halves_alone_would_learn_something_else(name):
    """So the test above could fail."""
    objective = objective_of(name)
    batch = batch_of(objective)
    whole = float(objective(batch, 0.3).total.detach())
    alone = [float(objective(half_of(batch, rank), 0.3).total.detach()) for rank in range(2)]
    assert abs(sum(alone) / 2 - whole) > 1e-4
