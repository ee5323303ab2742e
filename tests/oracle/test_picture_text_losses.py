"""The losses of CLIP and SigLIP against the slow formulas of the papers, also with the batch shared by processes."""

from __future__ import annotations

import math
import os

import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from chiasm.losses.clip import clip_loss
from chiasm.losses.siglip import siglip_loss

ROWS, WIDTH, RANKS = 6, 5, 3


def vectors() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(ROWS, WIDTH, dtype=torch.float64, generator=generator) for _ in range(2)]
    scale, bias = torch.tensor(3.7, dtype=torch.float64), torch.tensor(-1.3, dtype=torch.float64)
    return [value.requires_grad_() for value in (*drawn, scale, bias)]


def cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one * other).sum() / (one.square().sum().sqrt() * other.square().sum().sqrt())


def slow_clip(pictures, texts, scale, bias):
    """Figure 3 of the CLIP paper, pair by pair."""
    del bias
    total = pictures.new_zeros(())
    for row in range(len(pictures)):
        own = scale * cosine(pictures[row], texts[row])
        total = total - own + torch.stack([scale * cosine(pictures[row], text) for text in texts]).exp().sum().log()
        total = total - own + torch.stack([scale * cosine(one, texts[row]) for one in pictures]).exp().sum().log()
    return total / (2 * len(pictures))


def slow_siglip(pictures, texts, scale, bias):
    """Algorithm 1 of the SigLIP paper, pair by pair."""
    total = pictures.new_zeros(())
    for row, picture in enumerate(pictures):
        for column, text in enumerate(texts):
            sign = 1 if row == column else -1
            total = total - (1 / (1 + (-sign * (scale * cosine(picture, text) + bias)).exp())).log()
    return total / len(pictures)


def fast_clip(pictures, texts, scale, bias):
    del bias
    return clip_loss(pictures, texts, scale)


LOSSES = {"clip": (fast_clip, slow_clip), "siglip": (siglip_loss, slow_siglip)}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_are_those_of_the_formula(name):
    found = []
    for way in LOSSES[name]:
        values = vectors()
        loss = way(*values)
        loss.backward()
        found.append((loss.detach(), [value.grad for value in values]))
    torch.testing.assert_close(found[0][0], found[1][0])
    for ours, theirs in zip(found[0][1], found[1][1], strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_a_batch_and_the_length_of_vectors_mean_nothing(name):
    pictures, texts, scale, bias = (value.detach() for value in vectors())
    fast = LOSSES[name][0]
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    loss = fast(pictures, texts, scale, bias)
    torch.testing.assert_close(fast(pictures[order], texts[order], scale, bias), loss)
    torch.testing.assert_close(fast(2.5 * pictures, 0.1 * texts, scale, bias), loss)
    assert not torch.isclose(fast(pictures, texts[order], scale, bias), loss)


def test_vectors_that_tell_nothing_cost_the_logarithm():
    same = torch.ones(ROWS, WIDTH, dtype=torch.float64)
    assert clip_loss(same, same, torch.tensor(9.0)).item() == pytest.approx(math.log(ROWS))


def one_of_several(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS)
    size = ROWS // RANKS
    own = slice(rank * size, (rank + 1) * size)
    found = {}
    for name, (fast, _) in LOSSES.items():
        values = vectors()
        loss = fast(values[0][own], values[1][own], *values[2:])
        loss.backward()
        found[name] = (loss.detach(), [value.grad for value in values])
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_processes_that_share_a_batch_find_its_loss_and_gradients(tmp_path):
    spawn(one_of_several, args=(str(tmp_path),), nprocs=RANKS)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]
    for name, (fast, _) in LOSSES.items():
        values = vectors()
        loss = fast(*values)
        loss.backward()
        torch.testing.assert_close(torch.stack([part[name][0] for part in parts]).mean(), loss.detach())
        for place, value in enumerate(values):
            if value.grad is not None:
                # What data-parallel training makes of the gradients: their mean over the processes.
                summed = torch.stack([part[name][1][place] for part in parts]).mean(dim=0)
                torch.testing.assert_close(summed, value.grad)
