"""The losses of DINO, iBOT, KoLeo and Sinkhorn-Knopp against the papers' formulas, and DINO whole against its
pseudocode; then against themselves on two ranks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn import functional
from two_ranks_distillation import CENTRED, DINO, DINOV2, METHODS, SAMPLES, batch, half, objective, scores, step

from chiasm.losses.dino import dino_loss, entropy
from chiasm.losses.ibot import ibot_loss
from chiasm.losses.koleo import koleo
from chiasm.losses.targets import Balanced, Centred, Centring
from chiasm.objectives._self_distillation import SelfDistillation
from chiasm.objectives.dinov2 import DinoV2
from chiasm.ops.sinkhorn import sinkhorn


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_cross_entropy(target: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """H(a, b) = -a log b, summed over prototypes, for one picture."""
    exponentials = torch.exp(scores / temperature)
    shares = exponentials / exponentials.sum()
    return -torch.stack([a * torch.log(b) for a, b in zip(target, shares, strict=True)]).sum()


def slow_dino(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Equation 3 of arXiv:2104.14294, a mean over pairs as in its code, one picture at a time."""
    terms = [
        slow_cross_entropy(targets[seen, row], scores[view, row], temperature)
        for seen in range(len(targets))
        for view in range(len(scores))
        if view != seen
        for row in range(scores.shape[1])
    ]
    return torch.stack(terms).mean()


@pytest.mark.parametrize(("num_views", "num_targets"), [(2, 2), (5, 2), (3, 1)])
def test_dino_equals_the_slow_formula_with_its_gradient(num_views, num_targets):
    scores = drawn(num_views, 3, 4).requires_grad_()
    targets = drawn(num_targets, 3, 4, seed=1).softmax(dim=-1)
    fast, slow = dino_loss(scores, targets, 0.1), slow_dino(scores, targets, 0.1)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(*(torch.autograd.grad(loss, scores)[0] for loss in (fast, slow)))
    assert torch.autograd.gradcheck(lambda given: dino_loss(given, targets, 0.5), scores)


def test_dino_does_not_mind_the_order_of_pictures_nor_a_constant_added_to_scores():
    scores, targets = drawn(4, 6, 5), drawn(2, 6, 5, seed=1).softmax(dim=-1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(2))
    expected = dino_loss(scores, targets, 0.1)
    torch.testing.assert_close(dino_loss(scores[:, order], targets[:, order], 0.1), expected)
    torch.testing.assert_close(dino_loss(scores + 3, targets, 0.1), expected)
    # Each picture is compared with its own targets.
    assert not torch.allclose(dino_loss(scores[:, order], targets, 0.1), expected)


def test_dino_is_least_where_the_student_says_what_the_teacher_says():
    said = drawn(1, 6, 5)
    targets = (said / 0.1).softmax(dim=-1).expand(2, -1, -1)
    torch.testing.assert_close(dino_loss(said.expand(4, -1, -1), targets, 0.1), entropy(targets))
    assert dino_loss(drawn(4, 6, 5, seed=2), targets, 0.1) > entropy(targets)


def test_dino_needs_a_pair():
    with pytest.raises(ValueError, match="two views and a target"):
        dino_loss(drawn(1, 3, 4), drawn(1, 3, 4).softmax(dim=-1), 0.1)


def test_dino_is_computed_in_float32_whatever_autocast_says():
    scores, targets = drawn(3, 4, 6).float(), drawn(2, 4, 6, seed=1).float().softmax(dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        low = dino_loss(scores.bfloat16(), targets, 0.1)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, dino_loss(scores.bfloat16().float(), targets, 0.1))


def slow_ibot(scores: Tensor, targets: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Equation 3 of arXiv:2111.07832 for each picture, divided by what is hidden of it, then the mean over pictures."""
    total, row = drawn(1)[0] * 0, 0
    for picture in mask:
        for _ in range(int(picture.sum())):
            total = total + slow_cross_entropy(targets[row], scores[row], temperature) / picture.sum()
            row += 1
    return total / len(mask)


MASK = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.bool)


def test_ibot_equals_the_slow_formula_with_its_gradient():
    scores, targets = drawn(4, 5).requires_grad_(), drawn(4, 5, seed=1).softmax(dim=-1)
    fast, slow = ibot_loss(scores, targets, MASK, 0.1), slow_ibot(scores, targets, MASK, 0.1)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(*(torch.autograd.grad(loss, scores)[0] for loss in (fast, slow)))
    assert torch.autograd.gradcheck(lambda given: ibot_loss(given, targets, MASK, 0.5), scores)


def test_ibot_counts_pictures_alike_in_any_order():
    scores, targets = drawn(4, 5), drawn(4, 5, seed=1).softmax(dim=-1)
    turned = ibot_loss(scores[[3, 0, 1, 2]], targets[[3, 0, 1, 2]], MASK[[2, 1, 0]], 0.1)
    torch.testing.assert_close(turned, ibot_loss(scores, targets, MASK, 0.1))
    nothing = ibot_loss(scores[:0].requires_grad_(), targets[:0], torch.zeros_like(MASK), 0.1)
    assert nothing == 0
    assert nothing.requires_grad
    with pytest.raises(ValueError, match="4 hidden patches is needed, but 3"):
        ibot_loss(scores[:3], targets[:3], MASK, 0.1)


def slow_koleo(vectors: Tensor) -> Tensor:
    """Section 3.2 of arXiv:1806.03198 on the sphere: -1/n sum of log min over j != i of |x_i - x_j|."""
    unit = [row / row.norm() for row in vectors]
    least = [
        torch.stack([(one - other).norm() for j, other in enumerate(unit) if j != i]).min()
        for i, one in enumerate(unit)
    ]
    return -torch.stack(least).log().mean()


def test_koleo_equals_the_slow_formula_with_its_gradient():
    vectors = drawn(7, 4).requires_grad_()
    fast, slow = koleo(vectors), slow_koleo(vectors)
    torch.testing.assert_close(fast, slow, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(*(torch.autograd.grad(loss, vectors)[0] for loss in (fast, slow)), atol=1e-6, rtol=1e-6)
    assert torch.autograd.gradcheck(koleo, vectors)


def test_koleo_does_not_mind_order_or_length():
    vectors = drawn(7, 4)
    torch.testing.assert_close(koleo(vectors.flip(0)), koleo(vectors))
    torch.testing.assert_close(koleo(3 * vectors), koleo(vectors))
    with pytest.raises(ValueError, match="no neighbour"):
        koleo(vectors[:1])


def test_koleo_is_finite_where_two_vectors_are_one():
    vectors = drawn(4, 8).float()
    vectors[1] = vectors[0]
    vectors.requires_grad_()
    loss = koleo(vectors)
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert torch.isfinite(loss)
    assert gradient.abs().max() < 10


def slow_sinkhorn(scores: Tensor, temperature: float, num_iterations: int) -> Tensor:
    """Prototypes to 1/K, samples to 1/B, in turns, on the whole matrix; then times B."""
    matrix = torch.exp(scores / temperature).T
    matrix = matrix / matrix.sum()
    num_prototypes, num_samples = matrix.shape
    for _ in range(num_iterations):
        matrix = matrix / matrix.sum(dim=1, keepdim=True) / num_prototypes
        matrix = matrix / matrix.sum(dim=0, keepdim=True) / num_samples
    return (matrix * num_samples).T


@pytest.mark.parametrize("num_iterations", [1, 3, 100])
def test_sinkhorn_equals_the_slow_scaling(num_iterations):
    fast = sinkhorn(scores(), 0.3, num_iterations)
    torch.testing.assert_close(fast, slow_sinkhorn(scores(), 0.3, num_iterations))
    torch.testing.assert_close(fast.sum(dim=1), torch.ones(10, dtype=torch.float64))
    uneven = (fast.sum(dim=0) - 2).abs().max()
    assert uneven < 1e-8 if num_iterations == 100 else uneven > 1e-8


def test_sinkhorn_does_not_overflow_nor_mind_the_order():
    wide = 100 * drawn(6, 4).float()
    found = sinkhorn(wide, 0.04)
    assert torch.isfinite(found).all()
    assert found.max() <= 1 + 1e-5
    torch.testing.assert_close(sinkhorn(scores().flip(0), 0.3), sinkhorn(scores(), 0.3).flip(0))
    assert sinkhorn(scores()[:0], 0.3).shape == (0, 5)


def test_centring_follows_the_batches_of_the_past():
    targets = Centred(momentum=0.9).build(5).double()
    first, second = drawn(4, 5), drawn(4, 5, seed=1)
    torch.testing.assert_close(targets(first, 0.04), (first / 0.04).softmax(dim=1))
    centre = 0.1 * first.mean(dim=0)
    torch.testing.assert_close(targets.centre, centre)
    torch.testing.assert_close(targets(second, 0.04), ((second - centre) / 0.04).softmax(dim=1))
    torch.testing.assert_close(targets.centre, 0.9 * centre + 0.1 * second.mean(dim=0))
    before = targets.centre.clone()
    targets(second[:0], 0.04)
    targets.eval()(second, 0.04)
    assert torch.equal(targets.centre, before)
    assert "centre" in targets.state_dict()


def test_sinkhorn_balances_scores_however_far_apart():
    generator = torch.Generator().manual_seed(5)
    # All samples much nearer to one prototype: 160 apart after division, where float32 ends at 88.
    far = torch.randn(64, 6, generator=generator) * 0.01
    far[:, 0] += 1.6
    far[:, 3] -= 1.0
    found = sinkhorn(far, 0.01)
    logits = far.double() / 0.01
    for _ in range(3):
        logits = logits - logits.logsumexp(dim=0)
        logits = logits - logits.logsumexp(dim=1, keepdim=True)
    torch.testing.assert_close(found, logits.exp().float(), atol=1e-5, rtol=1e-4)
    assert found.argmax(dim=1).unique().tolist() == list(range(6))


def test_balance_is_sinkhorn():
    torch.testing.assert_close(Balanced(num_iterations=2).build(5)(scores(), 0.3), slow_sinkhorn(scores(), 0.3, 2))


def of_one(objective: SelfDistillation, images: Tensor, *, teacher: bool, mask: Tensor | None = None) -> tuple:
    """Scores for one view, and the features it has."""
    trunk, head = (objective.teacher_trunk, objective.teacher_head) if teacher else (objective.trunk, objective.head)
    features = trunk(trunk.normalize(images), patch_mask=mask)
    vectors = functional.normalize(head.mlp(features.prefix[:, 0]), dim=1)
    directions = head.prototypes.directions
    weight = directions / directions.norm(dim=1, keepdim=True)
    gain = 1 if head.prototypes.gain is None else head.prototypes.gain
    return vectors @ (gain * weight).T, features


def test_dino_whole_equals_its_pseudocode():
    """Algorithm 1 of arXiv:2104.14294 with two global and two local crops, pair by pair."""
    made = objective(DINO)
    views = batch(made)
    assert isinstance(made.targets, Centring)
    made.targets.centre.copy_(0.3 * drawn(12, seed=5))
    centre = made.targets.centre.clone()
    temperature = DINO.teacher_temperature_at(0.15)
    assert temperature == pytest.approx(0.055)
    said = [of_one(made, images, teacher=False)[0] for images in views.images]
    taught = [of_one(made, images, teacher=True)[0].detach() for images in views.images[:2]]
    terms = [
        -(((t - centre) / temperature).softmax(dim=1) * (s / 0.1).log_softmax(dim=1)).sum(dim=1).mean()
        for i, t in enumerate(taught)
        for j, s in enumerate(said)
        if i != j
    ]
    assert len(terms) == 6
    losses = made(views, 0.15)
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(losses.total, expected)
    learning = [part for part in made.parameters() if part.requires_grad]
    for ours, theirs in zip(
        *(torch.autograd.grad(loss, learning, allow_unused=True) for loss in (losses.total, expected)), strict=True
    ):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(made.targets.centre, 0.9 * centre + 0.1 * torch.cat(taught).mean(dim=0))
    sharp = torch.stack([((t - centre) / temperature).softmax(dim=1) for t in taught])
    nats = -(sharp * sharp.log()).sum(dim=2).mean()
    torch.testing.assert_close(losses.terms["teacher_entropy"], nats)
    torch.testing.assert_close(losses.terms["teacher_entropy_share"], nats / math.log(12))
    torch.testing.assert_close(losses.terms["kl"], expected.detach() - nats)
    mean = sharp.flatten(0, 1).mean(dim=0)
    torch.testing.assert_close(losses.terms["prototypes_in_use"], (-(mean * mean.log()).sum()).exp())


@pytest.mark.parametrize("settings", [DINOV2, CENTRED], ids=["untied sinkhorn", "tied centring"])
def test_dinov2_whole_equals_explicit_loops(settings):
    settings = settings.model_copy(update={"koleo_weight": 0.1})
    made = objective(settings)
    assert isinstance(made, DinoV2)
    views = batch(made)
    temperature = settings.teacher_temperature_at(0.15)
    student = [
        of_one(made, images, teacher=False, mask=mask) for images, mask in zip(views.images, views.masks, strict=True)
    ]
    teacher = [of_one(made, images, teacher=True) for images in views.images[:2]]

    def wanted(scores):
        if settings.targets.kind == "sinkhorn":
            return slow_sinkhorn(scores, temperature, 3)
        return (scores / temperature).softmax(dim=1)

    goals = wanted(torch.cat([scores for scores, _ in teacher]).detach()).chunk(2)
    dino = torch.stack(
        [
            -(goal * (scores / 0.1).log_softmax(dim=1)).sum(dim=1).mean()
            for i, goal in enumerate(goals)
            for j, (scores, _) in enumerate(student)
            if i != j
        ]
    ).mean()

    head = made.head if made.patch_head is None else made.patch_head
    teacher_head = made.teacher_head if made.teacher_patch_head is None else made.teacher_patch_head
    hidden = [mask for mask in views.masks if mask is not None]
    places = [(view, row, place) for view in range(2) for row, place in hidden[view].nonzero().tolist()]
    seen = torch.stack([teacher[view][1].patches[row, place] for view, row, place in places])
    patch_goals = wanted(teacher_head(seen).detach())
    terms = [
        -(goal * (head(student[view][1].patches[row, place][None])[0] / 0.1).log_softmax(dim=0)).sum()
        / hidden[view][row].sum()
        for goal, (view, row, place) in zip(patch_goals, places, strict=True)
    ]
    ibot = torch.stack(terms).sum() / (2 * len(hidden[0]))
    apart = torch.stack([slow_koleo(features.prefix[:, 0]) for _, features in student[:2]]).sum()

    losses = made(views, 0.15)
    assert places
    torch.testing.assert_close(losses.terms["dino"], dino.detach())
    torch.testing.assert_close(losses.terms["ibot"], ibot.detach())
    torch.testing.assert_close(losses.terms["koleo"], apart.detach(), atol=1e-5, rtol=1e-5)
    total = dino + ibot + 0.1 * apart
    torch.testing.assert_close(losses.total, total, atol=1e-6, rtol=1e-6)
    learning = [part for part in made.parameters() if part.requires_grad]
    gradients = [torch.autograd.grad(loss, learning) for loss in (losses.total, total)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_two_ranks_equal_one_with_the_whole_batch(tmp_path):
    """Losses and gradients of two processes with half a batch each, averaged as DDP does; centres without averaging."""
    spawn(half, args=(str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    whole = sinkhorn(scores(), 0.3)
    for rank, rows in enumerate(SAMPLES):
        torch.testing.assert_close(ranks[rank]["sinkhorn"], whole[rows])
        assert not torch.allclose(sinkhorn(scores()[rows], 0.3), whole[rows])
    for name, settings in METHODS.items():
        made = objective(settings)
        for key, value in step(made, batch(made)).items():
            ours = [found[f"{name}/{key}"] for found in ranks]
            if key.startswith("buffer."):
                torch.testing.assert_close(ours[0], value)
                torch.testing.assert_close(ours[1], value)
            else:
                torch.testing.assert_close((ours[0] + ours[1]) / 2, value)
        assert not torch.allclose(ranks[0][f"{name}/total"], ranks[1][f"{name}/total"])
