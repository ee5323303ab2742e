"""Clipping by parts, rates by batch, blocks computed twice, signals that come twice."""

from __future__ import annotations

import copy
import math
import os
import signal

import pytest
import torch
from torch import nn

from chiasm.core.protocols import Objective
from chiasm.core.views import Views
from chiasm.engine import interrupt as interrupts
from chiasm.engine.clipping import clip
from chiasm.engine.interrupt import Interrupt
from chiasm.engine.parallel import Alone
from chiasm.engine.recompute import recompute_blocks
from chiasm.engine.settings import Settings
from chiasm.objectives import mae, simclr
from chiasm.trunks import convnext, swin, vit


def two_parts(seed: int = 0) -> nn.Module:
    """Parts with gradients of very different lengths, and one parameter without."""
    torch.manual_seed(seed)
    module = nn.ModuleDict({"trunk": nn.Linear(6, 5), "head": nn.Linear(5, 3)})
    module.register_parameter("idle", nn.Parameter(torch.zeros(2)))
    for name, weight in module.named_parameters():
        if name != "idle":
            weight.grad = torch.randn_like(weight) * (10 if name.startswith("trunk") else 0.1)
    return module


def slowly_clipped(by: str, limit: float) -> dict[str, torch.Tensor]:
    """The gradients, shortened group by group with PyTorch's own function."""
    module = two_parts()
    named = [(name, weight) for name, weight in module.named_parameters() if weight.grad is not None]
    keys = {"whole": lambda name: "", "part": lambda name: name.split(".")[0], "parameter": lambda name: name}
    for key in {keys[by](name) for name, _ in named}:
        nn.utils.clip_grad_norm_([weight for name, weight in named if keys[by](name) == key], limit)
    return {name: weight.grad for name, weight in named if weight.grad is not None}


@pytest.mark.parametrize("by", ["whole", "part", "parameter"])
@pytest.mark.parametrize("limit", [0.5, 1e4])
def test_clipping_is_that_of_the_slow_loop(by, limit):
    module = two_parts()
    expected = slowly_clipped(by, limit)
    before = math.sqrt(sum(float(w.grad.square().sum()) for w in module.parameters() if w.grad is not None))
    parallel = Alone.__new__(Alone)
    assert clip(module, by, limit, parallel) == pytest.approx(before, rel=1e-6)
    got = {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}
    assert got.keys() == expected.keys()
    for name, gradient in got.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-5), name


def test_nothing_is_clipped_without_a_limit_and_nothing_finite_is_said_of_broken_gradients():
    module, parallel = two_parts(), Alone.__new__(Alone)
    before = {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}
    clip(module, "part", 0.0, parallel)
    for name, gradient in before.items():
        weight = module.get_parameter(name)
        assert weight.grad is not None
        assert torch.equal(weight.grad, gradient)
    weight = module.get_parameter("head.bias")
    weight.grad = torch.full_like(weight, math.inf)
    assert not math.isfinite(clip(module, "part", 3.0, parallel))
    assert clip(nn.Linear(2, 2), "whole", 1.0, parallel) == 0.0


@pytest.mark.parametrize(("scaling", "factor"), [("linear", 4.0), ("root", 2.0)])
def test_the_peak_rate_grows_with_the_batch(scaling, factor):
    settings = Settings(lr=1e-3, batch_size=512, accumulate=2, lr_scaling=scaling)
    assert settings.peak_lr == pytest.approx(factor * 1e-3)


def test_settings_that_do_not_decide_the_weights_may_change():
    changed = Settings(lr=0.1, recompute=True, strategy="fsdp", log_every=3, accelerator="cpu")
    assert changed.decisive() == Settings(lr=0.1)


TRUNKS = {
    "vit": vit.Config(image_size=16, patch_size=4, embed_dim=32, depth=3, num_heads=2, drop_path=0.3),
    "swin": swin.Config(image_size=32, embed_dim=16, depths=(2, 1), num_heads=(2, 2), window_sizes=(4,), drop_path=0.3),
    "convnext": convnext.Config(image_size=32, embed_dims=(16, 32), depths=(2, 1), drop_path=0.3),
}


def gradients(objective: Objective, size_px: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = [torch.randint(0, 256, (4, 3, size_px, size_px), generator=generator, dtype=torch.uint8) for _ in range(2)]
    torch.manual_seed(7)
    objective(Views(tuple(images), torch.arange(4)), 0.0).total.backward()
    return {name: weight.grad for name, weight in objective.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("name", TRUNKS)
def test_blocks_computed_twice_give_the_same_gradients(name):
    torch.manual_seed(0)
    kept = simclr.Config().build(TRUNKS[name].build())
    again = copy.deepcopy(kept)
    recompute_blocks(again)
    assert again.state_dict().keys() == kept.state_dict().keys()
    expected, got = (gradients(objective, TRUNKS[name].image_size) for objective in (kept, again))
    assert expected.keys() == got.keys()
    for path, gradient in expected.items():
        assert torch.allclose(gradient, got[path], atol=1e-6), path


class Saved:
    """Counts what is kept for the backward pass."""

    def __init__(self) -> None:
        self.num_bytes = 0

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        self.num_bytes += tensor.numel() * tensor.element_size()
        return tensor


def test_blocks_computed_twice_keep_less_than_a_quarter():
    config = vit.Config(image_size=32, patch_size=4, embed_dim=64, depth=8, num_heads=4)
    images = torch.rand(4, 3, 32, 32)
    kept = {}
    for recompute in (False, True):
        objective = mae.Config().build(config.build())
        if recompute:
            recompute_blocks(objective)
        saved = Saved()
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            objective.trunk(images).patches.sum()
        kept[recompute] = saved.num_bytes
    assert kept[True] < kept[False] / 4


def test_a_signal_that_a_launcher_repeats_is_one(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    with Interrupt(echoes=True) as asked:
        os.kill(os.getpid(), signal.SIGINT)
        now[0] += interrupts.ECHO_SECONDS / 2
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.asked == "SIGINT"
        now[0] += interrupts.ECHO_SECONDS
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with Interrupt() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
