"""Schedules, average, precision, spread and the optimiser's groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chiasm.core.rates import LearningGroup
from chiasm.engine.budget import Minutes, Steps, described
from chiasm.engine.ema import Ema
from chiasm.engine.optimizer import make_optimizer, set_rates
from chiasm.engine.precision import choose
from chiasm.engine.settings import Settings
from chiasm.engine.watch import spread
from chiasm.ops.schedules import cosine, warmup_cosine


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.count: torch.Tensor
        self.register_buffer("count", torch.tensor(0))


def test_schedules_meet_their_ends():
    assert cosine(0, 0.04, 0.4) == pytest.approx(0.04)
    assert cosine(1, 0.04, 0.4) == pytest.approx(0.4)
    assert cosine(0.5, 0.0, 1.0) == pytest.approx(0.5)
    assert cosine(2, 0.0, 1.0) == 1.0
    assert warmup_cosine(0, 3.0, 0.1) == 0
    assert warmup_cosine(0.05, 3.0, 0.1) == pytest.approx(1.5)
    assert warmup_cosine(0.1, 3.0, 0.1) == pytest.approx(3.0)
    assert warmup_cosine(1, 3.0, 0.1, 0.3) == pytest.approx(0.3)
    assert warmup_cosine(0, 3.0, 0.0) == pytest.approx(3.0)


@pytest.mark.parametrize("budget", [Steps(1000), Minutes(2.5), Minutes(1 / 3)])
def test_a_length_can_be_read_back_from_its_words(budget):
    assert described(budget.describe()).progress(7, 9.0) == pytest.approx(budget.progress(7, 9.0))


def test_average_follows_the_formula():
    layer = Counted()
    ema = Ema(layer, momentum=0.6)
    expected = layer.weight.detach().clone()
    for step in range(1, 20):
        with torch.no_grad():
            layer.weight.add_(step)
            layer.count.add_(1)
        momentum = min(0.6, step / (step + 10))
        expected = momentum * expected + (1 - momentum) * layer.weight.detach()
        ema.update(layer, step)
    assert torch.allclose(ema.averages["weight"], expected)
    assert ema.averages["count"] == 19
    assert not ema.averages["weight"].requires_grad


def test_spread_is_one_for_even_and_zero_for_equal_vectors():
    generator = torch.Generator().manual_seed(0)
    even = torch.randn(4000, 32, generator=generator)
    assert float(spread(even)) == pytest.approx(1, abs=0.01)
    assert float(spread(torch.ones(10, 32))) == pytest.approx(0, abs=1e-6)


def test_only_matrices_decay():
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    module.register_parameter("token", nn.Parameter(torch.zeros(1, 1, 4)))
    settings = Settings(lr=1e-3, batch_size=512, weight_decay=0.04, final_weight_decay=0.4, warmup=0.5)
    optimizer = make_optimizer([LearningGroup(tuple(module.parameters()))], settings)
    lr, decay = set_rates(optimizer, settings, 0.5)
    assert lr == pytest.approx(2e-3)
    assert decay == pytest.approx(0.22)
    groups = {group["decays"]: group for group in optimizer.param_groups}
    assert [tuple(p.shape) for p in groups[True]["params"]] == [(4, 4)]
    assert len(groups[False]["params"]) == 4
    assert groups[False]["weight_decay"] == 0
    assert groups[True]["weight_decay"] == pytest.approx(0.22)


def test_groups_have_rates_of_their_own():
    settings = Settings(lr=1e-3, batch_size=256, warmup=0.0, final_lr_share=1.0, betas=(0.9, 0.999))
    slow, late = (LearningGroup((nn.Parameter(torch.zeros(2, 2)),), *rates) for rates in ((0.5, 0.0), (1.0, 0.3)))
    optimizer = make_optimizer([slow, late], settings)
    assert optimizer.defaults["betas"] == (0.9, 0.999)
    set_rates(optimizer, settings, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(5e-4), 0.0]
    set_rates(optimizer, settings, 0.3)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(5e-4), pytest.approx(1e-3)]


def test_a_group_that_waited_rises():
    settings = Settings(lr=1e-3, batch_size=256, warmup=0.0, final_lr_share=1.0)
    optimizer = make_optimizer([LearningGroup((nn.Parameter(torch.zeros(2, 2)),), 1.0, 0.2, 0.4)], settings)
    rates = []
    for progress in (0.1, 0.2, 0.3, 0.5, 0.6, 0.9):
        set_rates(optimizer, settings, progress)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0, 0, 2.5e-4, 7.5e-4, 1e-3, 1e-3])


def test_precision_says_why(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    chosen = choose("auto", torch.device("cpu"))
    assert (chosen.precision, chosen.reason) == ("bf16-mixed", "the processor has AMX")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert choose("auto", torch.device("cpu")).precision == "32-true"
    assert choose("bf16", torch.device("cpu")).precision == "bf16-mixed"
    assert choose("fp32", torch.device("cpu")).precision == "32-true"
