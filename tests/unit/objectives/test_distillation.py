"""Distillation: grids and sizes that differ, a teacher that stays out of the way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.core.views import Views
from chiasm.heads import pool
from chiasm.layers.held import Held
from chiasm.objectives.distillation import Config, Distillation, Teacher
from chiasm.trunks import convnext, swin, vit

SMALL = vit.Config(image_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2)
BY_MEAN = pool.Config(by=pool.ByMean())


def taught(teacher, pooling=BY_MEAN, student=SMALL, **settings: object) -> Distillation:
    torch.manual_seed(0)
    known = Teacher(teacher.build(), pooling.build(teacher.build().embed_dim))
    parsed = Config.parse({"pool": BY_MEAN, **settings}, "the objective")
    return Distillation(student.build(), known, parsed)


def batch(size_px: int = 16) -> Views:
    generator = torch.Generator().manual_seed(1)
    return Views(
        (torch.randint(0, 256, (3, 3, size_px, size_px), generator=generator, dtype=torch.uint8),), torch.arange(3)
    )


def cosine(one: Tensor, other: Tensor) -> Tensor:
    return (1 - functional.cosine_similarity(one, other, dim=-1)).mean()


def test_the_loss_is_that_of_its_parts():
    """A teacher for pictures of 24 px with a grid of 3 x 3, for a student of 16 px with one of 4 x 4."""
    teacher = vit.Config(image_size=24, patch_size=8, embed_dim=24, depth=1, num_heads=2)
    learner = taught(teacher, pool.Config(by=pool.ByBoth()), patches_weight=0.5, cosine_share=0.8)
    view = batch().images[0]
    larger = functional.interpolate(view.float(), size=24, mode="bicubic", antialias=True).round().clamp(0, 255)
    known = learner.teacher.module.trunk
    seen = known(known.normalize(larger.to(torch.uint8)))
    own = learner.trunk(learner.trunk.normalize(view))
    whole = cosine(
        learner.to_vector(own.patches.mean(dim=1)), torch.cat([seen.prefix[:, 0], seen.patches.mean(dim=1)], 1)
    )
    wanted = functional.interpolate(seen.patch_map(), size=(4, 4), mode="bilinear", antialias=True)
    wanted = wanted.flatten(2).transpose(1, 2)
    given = learner.to_patches(own.patches)
    patches = 0.8 * cosine(given, wanted) + 0.2 * functional.smooth_l1_loss(given, wanted)
    torch.testing.assert_close(learner(batch(), 0.0).total, whole + 0.5 * patches)


@pytest.mark.parametrize(
    "teacher",
    [
        SMALL,
        swin.Config(image_size=32, embed_dim=16, depths=(1, 1), num_heads=(2, 2)),
        convnext.Config(image_size=16, depths=(1, 1), embed_dims=(16, 32)),
    ],
)
@pytest.mark.parametrize("student", [SMALL, convnext.Config(image_size=32, depths=(1, 1), embed_dims=(16, 32))])
def test_any_trunk_teaches_any_other(teacher, student):
    learner = taught(teacher, student=student)
    losses = learner(batch(student.image_size), 0.0)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert all(weight.grad is not None for weight in learner.trunk.parameters() if weight.requires_grad)


def test_the_teacher_neither_learns_nor_travels():
    learner = taught(SMALL)
    teacher = learner.teacher.module
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    own = {id(weight) for weight in teacher.parameters()}
    assert not any(id(weight) in own for weight in learner.parameters())
    assert not any(id(weight) in own for group in learner.groups() for weight in group.parameters)
    assert not any(name.startswith("teacher") for name in learner.state_dict())
    learner.train()
    assert not any(part.training for part in teacher.modules())
    learner(batch(), 0.0).total.backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_what_is_held_moves_with_its_owner():
    learner = taught(SMALL).double()
    assert {weight.dtype for weight in learner.teacher.module.parameters()} == {torch.float64}
    assert learner(batch(), 0.0).total.dtype == torch.float64
    held = Held(torch.nn.Linear(2, 2))
    assert held.to("meta").module.weight.is_meta
    assert Held(torch.nn.Linear(2, 2)).on(torch.device("meta")).weight.is_meta


def test_alone_a_trunk_is_taught_by_itself_as_it_was():
    torch.manual_seed(0)
    trunk = SMALL.build()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    learner = Config().build(trunk)
    with torch.no_grad():
        for weight in trunk.parameters():
            weight.add_(1)
    after = learner.teacher.module.trunk.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
