"""MoCo v3 against its algorithm 1, written out step by step, and its parts against what the paper says of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from chiasm.core.views import Views
from chiasm.layers.patch import Convolutions, Linear
from chiasm.objectives.moco_v3 import Config, MoCoV3, usual_hidden_dim
from chiasm.trunks import convnext, swin, vit

SETTINGS = Config(hidden_dim=24, out_dim=8, temperature=0.3, momentum=0.9)


def objective(settings: Config = SETTINGS, **trunk: object) -> MoCoV3:
    torch.manual_seed(0)
    small = {"image_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2, **trunk}
    return settings.build(vit.Config.parse(small, "the trunk").build())


def batch() -> Views:
    generator = torch.Generator().manual_seed(1)
    images = tuple(torch.randint(0, 256, (6, 3, 16, 16), generator=generator, dtype=torch.uint8) for _ in range(2))
    return Views(images, torch.arange(6))


def standardised(rows: Tensor) -> Tensor:
    return (rows - rows.mean(dim=0)) / (rows.var(dim=0, unbiased=False) + 1e-5).sqrt()


def by_hand(head: nn.Module, rows: Tensor) -> Tensor:
    """A head of MoCo v3: linear, batch norm, ReLU ..., the last batch norm without gain and shift."""
    weights = list(head.parameters())
    while len(weights) > 1:
        linear, gain, shift, *weights = weights
        rows = (standardised(rows @ linear.T) * gain + shift).clamp(min=0)
    return standardised(rows @ weights[0].T)


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """`ctr` of algorithm 1."""
    queries, keys = (rows / rows.norm(dim=1, keepdim=True) for rows in (queries, keys))
    logits = queries @ keys.T / temperature
    loss = -torch.stack([logits[row].log_softmax(dim=0)[row] for row in range(len(logits))]).mean()
    return 2 * temperature * loss


def test_the_loss_is_that_of_algorithm_1():
    learner = objective().double()
    with torch.no_grad():
        # The momentum encoder as it would be later.
        for weight in (*learner.key_trunk.parameters(), *learner.key_projector.parameters()):
            if weight.ndim > 1:
                weight.add_(0.05 * torch.randn_like(weight))
    images = [learner.trunk.normalize(view) for view in batch().images]
    q1, q2 = (by_hand(learner.predictor, by_hand(learner.projector, learner.trunk(x).prefix[:, 0])) for x in images)
    k1, k2 = (by_hand(learner.key_projector, learner.key_trunk(x).prefix[:, 0]).detach() for x in images)
    expected = contrast(q1, k2, 0.3) + contrast(q2, k1, 0.3)
    losses = learner(batch(), 0.0)
    torch.testing.assert_close(losses.total, expected, rtol=1e-6, atol=1e-8)
    weights = [weight for weight in learner.parameters() if weight.requires_grad]
    theirs = torch.autograd.grad(expected, weights, materialize_grads=True)
    for ours, wanted in zip(torch.autograd.grad(losses.total, weights), theirs, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-8)
    assert float(losses.terms["info_nce"]) == pytest.approx(float(expected.detach()) / 4 / 0.3, rel=1e-5)
    torch.testing.assert_close(losses.embeddings, torch.cat([learner.trunk(x).prefix[:, 0] for x in images]).detach())


def test_the_momentum_encoder_follows_all_but_the_predictor_by_half_a_cosine():
    learner = objective()
    keys = [learner.key_trunk, learner.key_pool, learner.key_projector]
    assert not any(weight.requires_grad for part in keys for weight in part.parameters())
    with torch.no_grad():
        for weight in learner.parameters():
            if weight.requires_grad:
                weight.add_(1)
    before = {name: weight.clone() for name, weight in learner.named_parameters()}
    learner.after_step(0.25)
    momentum = 1 - (1 - 0.9) * (math.cos(math.pi * 0.25) + 1) / 2
    for name, weight in learner.named_parameters():
        expected = before[name]
        if name.startswith("key_"):
            expected = momentum * expected + (1 - momentum) * before[name.removeprefix("key_")]
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("trunk", "frozen"),
    [
        (vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, stem=Linear()), True),
        (vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, stem=Convolutions()), False),
        (swin.Config(image_size=32, embed_dim=16, depths=(1, 1), num_heads=(2, 2)), True),
        (convnext.Config(image_size=32, depths=(1, 1), embed_dims=(16, 32)), True),
    ],
)
def test_a_linear_patch_projection_stays_as_it_was_drawn(trunk, frozen):
    learner = Config(hidden_dim=24).build(trunk.build())
    still = [name for name, weight in learner.trunk.named_parameters() if not weight.requires_grad]
    expected = ["patch_embedding.projection.weight", "patch_embedding.projection.bias"]
    assert still == (expected if frozen else [])
    learning = {id(weight) for group in learner.groups() for weight in group.parameters}
    assert learning == {id(weight) for weight in learner.parameters() if weight.requires_grad}
    free = Config(hidden_dim=24, freeze_patches=False).build(trunk.build())
    assert all(weight.requires_grad for weight in free.trunk.parameters())


def test_heads_are_those_of_the_paper_from_vit_small_on():
    def widths(head: nn.Module) -> list[tuple[int, ...]]:
        return [tuple(part.weight.shape) for part in head.modules() if isinstance(part, nn.Linear)]

    settings = Config()
    assert widths(settings.projector(384)) == [(4096, 384), (4096, 4096), (256, 4096)]
    assert widths(settings.predictor(384)) == [(4096, 256), (256, 4096)]
    assert [usual_hidden_dim(width) for width in (8, 128, 192, 384, 768)] == [64, 1344, 2048, 4096, 4096]


def test_views_differ_in_blur_and_solarisation_alone():
    first, second = objective(image_size=224, patch_size=56).views()
    assert first.blur is not None
    assert second.blur is not None
    assert (first.blur.probability, first.solarise) == (1.0, 0.0)
    assert (second.blur.probability, second.solarise) == (0.1, 0.2)
    same = {"blur": None, "solarise": 0.0}
    assert first.model_copy(update=same) == second.model_copy(update=same)
    jitter = first.jitter
    assert jitter is not None
    assert (jitter.probability, jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (
        0.8, 0.4, 0.4, 0.2, 0.1,
    )  # fmt: skip
    assert (first.min_area, first.grey, first.flip) == (0.08, 0.2, 0.5)
    assert [view.blur for view in objective().views()] == [None, None]
