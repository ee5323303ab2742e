"""Joined batch norm: torch's own with one process, and with two what one would give with the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import spawn
from two_ranks_of_norms import half_of_norms, norms, passed

from chiasm.layers.batch_norm import JoinedBatchNorm1d, JoinedBatchNorm2d


def test_alone_it_is_torchs():
    torch.manual_seed(0)
    values = torch.randn(6, 4)
    ours, theirs = JoinedBatchNorm1d(4), nn.BatchNorm1d(4)
    assert torch.equal(ours(values), theirs(values))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert torch.equal(ours.eval()(values), theirs.eval()(values))
    maps = torch.randn(2, 3, 5, 5)
    assert torch.equal(JoinedBatchNorm2d(3)(maps), nn.BatchNorm2d(3)(maps))
    with pytest.raises(ValueError, match="more than 1 value"):
        JoinedBatchNorm1d(4)(values[:1])


def test_two_processes_equal_one_with_the_whole_batch(tmp_path):
    """Values, gradients of inputs and weights, running statistics."""
    spawn(half_of_norms, args=(str(tmp_path),), nprocs=2)
    halves = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for index, (norm, values, factors) in enumerate(norms()):
        # Torch's own norm, over everything.
        whole = passed(norm, values, factors, 1.0)
        weights = len(list(norm.parameters()))
        first, second = halves[0][index], halves[1][index]
        for place, expected in enumerate(whole):
            if place < 2:
                found = torch.cat([first[place], second[place]])
            elif place < 2 + weights:
                found = (first[place] + second[place]) / 2
            else:
                found = first[place]
                assert torch.equal(first[place], second[place])
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
        alone = type(norm)(norm.num_features, affine=False).double()(values.chunk(2)[0])
        assert not torch.allclose(alone, first[0], atol=0.1)
