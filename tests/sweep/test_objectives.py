"""What every objective must do, found in the registry: a new one is tested without a new line here."""

from __future__ import annotations

import pytest
import torch

from chiasm.core.protocols import Losses, Objective
from chiasm.core.views import Views
from chiasm.objectives import registry
from chiasm.trunks import registry as trunks
from chiasm.trunks import vit

BATCH = 8
SMALL = {"image_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}


def make(name: str, seed: int = 0) -> Objective:
    torch.manual_seed(seed)
    trunk = vit.Config.parse(SMALL, "the trunk").build()
    return registry.config(name)().build(trunk)


def batch_for(objective: Objective, seed: int = 1) -> Views:
    """Pictures that differ in colour and place; each view is the picture with a little noise of its own.

    The last one has no known class.
    """
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(BATCH, 3, 1, 1, generator=generator) * 200
    images = []
    for spec in objective.views():
        noise = torch.rand(BATCH, 3, spec.size_px, spec.size_px, generator=generator) * 55
        images.append((colours + noise).to(torch.uint8))
    labels = torch.arange(BATCH) % 3
    labels[-1] = -1
    return Views(tuple(images), torch.arange(BATCH), labels=labels)


@pytest.fixture(params=registry.names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_there_is_an_objective_and_a_trunk():
    assert registry.names()
    assert trunks.names()


def test_losses_are_finite_scalars_with_named_terms(name):
    objective = make(name)
    losses = objective(batch_for(objective), 0.0)
    assert isinstance(losses, Losses)
    assert losses.total.shape == ()
    assert torch.isfinite(losses.total)
    assert losses.terms
    assert all(not term.requires_grad and torch.isfinite(term) for term in losses.terms.values())
    assert losses.embeddings.ndim == 2
    assert not losses.embeddings.requires_grad


def test_gradient_reaches_every_learning_parameter(name):
    objective = make(name)
    objective(batch_for(objective), 0.0).total.backward()
    for path, parameter in objective.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, path
            assert torch.isfinite(parameter.grad).all(), path


def test_the_trunk_learns(name):
    objective = make(name)
    before = {path: value.clone() for path, value in objective.trunk.state_dict().items()}
    batch = batch_for(objective)
    learning = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=2e-3)
    totals = []
    for step in range(30):
        losses = objective(batch, step / 30)
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step((step + 1) / 30)
        totals.append(float(losses.total.detach()))
    assert sum(totals[-5:]) < 0.9 * sum(totals[:5])
    assert any(not torch.equal(value, before[path]) for path, value in objective.trunk.state_dict().items())


def test_same_seed_same_loss_and_state_travels(name):
    one, two = make(name), make(name)
    batch = batch_for(one)
    torch.manual_seed(5)
    first = one(batch, 0.0).total
    torch.manual_seed(5)
    assert torch.equal(first, two(batch, 0.0).total)
    other = make(name, seed=9)
    other.load_state_dict(two.state_dict())
    states = (two.state_dict(), other.state_dict())
    assert all(torch.equal(states[0][path], states[1][path]) for path in states[0])


def test_bfloat16_gives_nearly_the_same_loss(name):
    objective = make(name)
    batch = batch_for(objective)
    torch.manual_seed(5)
    exact = float(objective(batch, 0.0).total.detach())
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(5)
        low = float(objective(batch, 0.0).total.detach())
    assert low == pytest.approx(exact, rel=0.1, abs=0.05)


def test_settings_round_trip(name):
    config = registry.config(name)
    settings = config()
    assert config.model_validate_json(settings.model_dump_json()) == settings


def test_views_name_sizes_a_trunk_can_take(name):
    objective = make(name)
    for spec in objective.views():
        assert spec.size_px % SMALL["patch_size"] == 0
