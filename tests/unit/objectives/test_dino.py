"""DINO and DINOv2: views, schedules, groups, the teacher, what is fitted to the data, what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from two_ranks_distillation import CENTRED, DINO, DINOV2, batch, objective

from chiasm.core.errors import InputError
from chiasm.core.views import BlockMask, Views
from chiasm.heads import pool, prototypes
from chiasm.layers.hiding import Replaced
from chiasm.layers.mlp import SwiGluMlp
from chiasm.layers.positions import Rotary
from chiasm.losses.targets import Balanced, Centred
from chiasm.objectives import _self_distillation as shared
from chiasm.objectives import dino, dinov2
from chiasm.objectives._crops import Crops
from chiasm.objectives._teacher import follow
from chiasm.trunks import convnext, swin, vit

TINY = {"image_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
HEAD = prototypes.Config(num_prototypes=12, hidden_dim=16, bottleneck_dim=8)


def trunk(**settings: Any):
    torch.manual_seed(0)
    return vit.Config.parse({**TINY, **settings}, "the trunk").build()


def test_views_are_those_of_the_paper():
    first, second, *others = dino.Config().crops.views(trunk(image_size=224, patch_size=16), "usual")
    assert [view.size_px for view in (first, second, *others)] == [224, 224, *[96] * 8]
    assert (first.min_area, first.max_area) == (second.min_area, second.max_area) == (0.4, 1.0)
    assert all((view.min_area, view.max_area) == (0.05, 0.4) for view in others)
    assert [view.blur.probability for view in (first, second, others[0]) if view.blur] == [1.0, 0.1, 0.5]
    assert [view.solarise for view in (first, second, others[0])] == [0, 0.2, 0]
    jitter = first.jitter
    assert jitter is not None
    assert [jitter.probability, jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue] == [
        *(0.8, 0.4, 0.4),
        *(0.2, 0.1),
    ]
    assert all(view.grey == 0.2 and view.flip == 0.5 for view in (first, second, *others))


def test_small_pictures_are_not_blurred_unless_asked():
    small = trunk()
    assert all(view.blur is None for view in Crops().views(small, "usual"))
    blurred = Crops(blur="inverted").views(small, "usual")
    assert [view.blur and view.blur.probability for view in blurred[:3]] == [None, 0.9, 0.5]


@pytest.mark.parametrize(("image_size", "patch_size", "local"), [(64, 8, 24), (32, 8, 16), (32, 4, 12), (224, 14, 98)])
def test_local_crops_are_a_multiple_of_the_patch(image_size, patch_size, local):
    views = Crops().views(trunk(image_size=image_size, patch_size=patch_size), "usual")
    assert views[-1].size_px == local
    assert Crops(local_size_px=40).views(trunk(), "usual")[-1].size_px == 40


def test_stages_that_merge_see_one_token_at_least():
    made = swin.Config(image_size=64, embed_dim=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)).build()
    assert Crops().views(made, "usual")[-1].size_px == made.stride_px == 32


def test_dinov2_masks_global_views_and_blurs_as_it_was_trained():
    made = dinov2.Config(head=HEAD, patch_head=HEAD).build(trunk(image_size=128, patch_size=8, hiding=Replaced()))
    first, second, local = made.views()[:3]
    assert first.masking is not None
    assert second.masking is not None
    assert local.masking is None
    assert first.masking.grid == 16
    assert first.masking.how == BlockMask()
    assert (first.min_area, local.max_area) == (0.32, 0.32)
    assert [view.blur and view.blur.probability for view in (first, second, local)] == [None, 0.9, 0.5]
    right = dinov2.Config(head=HEAD, patch_head=HEAD, crops=Crops(blur="usual")).build(made.trunk).views()
    assert [view.blur and view.blur.probability for view in right[:3]] == [1.0, 0.1, 0.5]


def test_rectangles_fit_a_small_grid_unless_given():
    def least(**settings):
        made = dinov2.Config(head=HEAD, patch_head=HEAD, **settings).build(trunk(hiding=Replaced()))
        masking = made.views()[0].masking
        assert masking is not None
        assert isinstance(masking.how, BlockMask)
        return masking.how.min_patches

    assert least() == 1
    assert least(masks=BlockMask(min_patches=3)) == 3


def test_one_setting_of_a_part_keeps_the_others_of_the_method():
    settings = dinov2.Config.parse({"crops": {"num_local": 3}, "head": {"num_prototypes": 5}, "targets": {}}, "it")
    assert settings.crops == Crops(num_local=3, boundary=0.32)
    assert settings.head == prototypes.Config(num_prototypes=5, norm_last_layer=False)
    assert settings.targets.kind == "sinkhorn"
    assert dinov2.Config.parse({"patch_head": None}, "it").patch_head is None


def test_temperature_rises_and_never_starts_above_its_end():
    settings = dino.Config(first_teacher_temperature=0.04, teacher_temperature=0.07, temperature_warmup=0.3)
    assert [round(settings.teacher_temperature_at(progress), 4) for progress in (0, 0.15, 0.3, 1)] == [
        *(0.04, 0.055),
        *(0.07, 0.07),
    ]
    sharp = dino.Config(teacher_temperature=0.02)
    assert sharp.teacher_temperature_at(0) == sharp.teacher_temperature_at(1) == 0.02
    assert dino.Config(temperature_warmup=0).teacher_temperature_at(0) == 0.07


@pytest.mark.parametrize(
    ("num_pictures", "num_prototypes"),
    [(1, 1024), (20_000, 1024), (50_000, 2048), (60_000, 4096), (150_000, 16_384), (400_000, 32_768), (10**7, 65_536)],
)
def test_prototypes_follow_the_number_of_pictures(num_pictures, num_prototypes):
    assert shared.fitted(dino.Config(), num_pictures).head.num_prototypes == num_prototypes
    both = dinov2.fitted(dinov2.Config(), num_pictures)
    assert both.patch_head is not None
    assert both.head.num_prototypes == both.patch_head.num_prototypes == num_prototypes
    assert not both.head.norm_last_layer


def test_temperature_and_momentum_follow_it_too():
    few, many = (shared.fitted(dino.Config(), number) for number in (100, 10**6))
    assert (few.teacher_temperature, few.momentum) == (0.01, 0.95)
    assert (many.teacher_temperature, many.momentum) == (0.07, 0.996)
    middle = shared.fitted(dino.Config(), round(math.sqrt(100_000 * 10**6)))
    assert (middle.teacher_temperature, middle.momentum) == (0.04, 0.973)


def test_few_pictures_are_balanced_where_centring_needs_a_long_run():
    assert shared.fitted(dino.Config(), 100_000).targets == Balanced()
    assert shared.fitted(dino.Config(), 100_001).targets == Centred()
    assert shared.fitted(dino.Config(targets=Centred()), 100).targets == Centred()


def test_what_is_given_is_kept():
    given = dinov2.Config(momentum=0.5, teacher_temperature=0.1, head=HEAD, patch_head=None)
    assert dinov2.fitted(given, 100) == given
    assert dino.Config.model_validate_json(shared.fitted(dino.Config(), 100).model_dump_json()).momentum == 0.95


def test_prototypes_wait_and_all_learn_once():
    made = objective(DINO)
    *others, last = made.groups()
    assert last.waits == 0.01
    assert [id(part) for part in last.parameters] == [id(part) for part in made.head.prototypes.parameters()]
    assert all(group.waits == 0 and group.lr_scale == 1 for group in others)
    learning = [id(part) for group in made.groups() for part in group.parameters]
    assert sorted(learning) == sorted(id(part) for part in made.parameters() if part.requires_grad)


def test_early_levels_learn_slowly_and_the_trunk_can_wait():
    settings = DINOV2.model_copy(update={"trunk_waits": 0.2})
    made = objective(settings)
    groups = made.groups()
    *levels, heads, last = groups
    # One block: what embeds pixels, mask token with positions and prefix, block, norm.
    assert [round(level.lr_scale, 6) for level in levels] == [0.162, 0.81, 0.9, 1.0]
    pixel_embedding = made.trunk.get_submodule("patch_embedding")
    assert {id(part) for part in levels[0].parameters} == {id(part) for part in pixel_embedding.parameters()}
    assert all(level.waits == level.rises == 0.2 for level in levels)
    assert (heads.waits, last.waits) == (0, 0.01)
    assert len(last.parameters) == 2
    learning = [id(part) for group in groups for part in group.parameters]
    assert sorted(learning) == sorted(id(part) for part in made.parameters() if part.requires_grad)


@pytest.mark.parametrize("settings", [DINO, DINOV2, CENTRED])
def test_the_teacher_follows_and_learns_nothing_else(settings):
    made = objective(settings)
    teacher = {name: value.clone() for name, value in made.named_parameters() if name.startswith("teacher")}
    made(batch(made), 0.0).total.backward()
    assert teacher
    assert all(not made.get_parameter(name).requires_grad for name in teacher)
    made.after_step(0.5)
    momentum = 1 - (1 - settings.momentum) * 0.5
    for name, old in teacher.items():
        student = made.get_parameter(name.removeprefix("teacher_"))
        torch.testing.assert_close(made.get_parameter(name), momentum * old + (1 - momentum) * student)
    made.after_step(1.0)
    still = {name: made.get_parameter(name).clone() for name in teacher}
    made.after_step(1.0)
    assert all(torch.equal(made.get_parameter(name), value) for name, value in still.items())
    assert made.kept is made.teacher_trunk


def test_the_teacher_does_not_see_masks_nor_local_views():
    made = objective(DINOV2)
    seen: list[tuple[int, object]] = []
    made.teacher_trunk.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((len(args[0]), kwargs.get("patch_mask"))), with_kwargs=True
    )
    made(batch(made), 0.0)
    assert seen == [(16, None)]


def learn(
    settings: shared.Settings, steps: int, *, lr: float = 3e-3
) -> tuple[shared.SelfDistillation, dict[str, float]]:
    """Train on one batch for a while; the figures of the last step."""
    made = objective(settings).float()
    views = batch(made)
    optimizer = torch.optim.AdamW([part for part in made.parameters() if part.requires_grad], lr=lr)
    figures: dict[str, float] = {}
    for step in range(steps):
        losses = made(views, step / steps)
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad()
        made.after_step(0.0)
        figures = {name: float(value) for name, value in losses.terms.items()}
    return made, figures


def test_without_centring_it_collapses_and_says_so():
    fast = {"momentum": 0.5, "teacher_temperature": 0.04}
    made, figures = learn(DINO.model_copy(update={**fast, "targets": Centred(momentum=1.0)}), 30)
    assert figures["prototypes_in_use"] < 1.5
    assert figures["teacher_entropy_share"] < 0.2
    assert "the same prototype" in str(made.doubt(figures))
    balanced, well = learn(DINO.model_copy(update={**fast, "targets": Balanced()}), 30)
    assert well["prototypes_in_use"] > 10
    assert balanced.doubt(well) is None


def test_without_sharpening_it_collapses_the_other_way_and_says_so():
    flat = {"momentum": 0.5, "first_teacher_temperature": 1.0, "teacher_temperature": 1.0}
    made, figures = learn(DINO.model_copy(update=flat), 60)
    assert figures["teacher_entropy_share"] > 0.999
    assert figures["kl"] < 0.01
    assert "all prototypes alike" in str(made.doubt(figures))


@pytest.mark.parametrize(
    "made", [vit.Config.parse(TINY, "it"), convnext.Config(image_size=32, embed_dims=(4, 8), depths=(1, 1))]
)
def test_a_trunk_that_cannot_replace_patches_is_refused_by_dinov2(made):
    with pytest.raises(InputError, match=r"say --trunk\.hiding\.kind mask_token"):
        dinov2.Config(head=HEAD, patch_head=HEAD).build(made.build())


def test_a_shared_head_needs_a_pool_as_wide_as_a_token():
    settings = dinov2.Config(head=HEAD, patch_head=None, pool=pool.Config(by=pool.ByBoth()))
    with pytest.raises(InputError, match="32 for 16 came"):
        settings.build(trunk(hiding=Replaced()))


@pytest.mark.parametrize(
    "kind",
    [
        vit.Config.parse({**TINY, "hiding": Replaced(), "mlp": SwiGluMlp(), "num_register_tokens": 4}, "it"),
        vit.Config.parse({**TINY, "hiding": Replaced(), "cls_token": False}, "it"),
        swin.Config(image_size=64, embed_dim=8, depths=(1, 1), num_heads=(1, 2), hiding=Replaced()),
    ],
    ids=["swiglu, registers", "no class token", "swin"],
)
def test_other_trunks_learn_by_dinov2(kind):
    torch.manual_seed(0)
    made = dinov2.Config(head=HEAD, patch_head=HEAD, crops=Crops(num_local=2)).build(kind.build())
    losses = made(batch(made), 0.0)
    assert losses.terms["ibot"] > 0
    losses.total.backward()
    assert all(part.grad is not None and torch.isfinite(part.grad).all() for part in made.trunk.parameters())


def test_masks_must_be_there():
    made = objective(DINOV2)
    with pytest.raises(ValueError, match="both global views, but 0 came"):
        made(batch(made)._replace(masks=()), 0.0)


def test_drop_path_is_the_students_alone():
    student = trunk(drop_path=0.3, drop_path_uniform=True, hiding=Replaced())
    made = dinov2.Config(head=HEAD, patch_head=HEAD).build(student)
    rates = {part.rate for part in made.teacher_trunk.modules() if hasattr(part, "rate")}
    assert rates == {0.0}
    follow(made.teacher_trunk, made.trunk, 0.0)
    made.train()
    pictures = torch.randn(2, 3, 16, 16)
    assert torch.equal(made.teacher_trunk(pictures).prefix, made.teacher_trunk(pictures).prefix)


def test_masks_of_a_swin_whose_tokens_do_not_fill_its_grid():
    settings = DINOV2.model_copy(update={"crops": Crops(num_local=0)})
    torch.manual_seed(0)
    uneven = swin.Config(image_size=18, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 1), hiding=Replaced())
    made = settings.build(uneven.build())
    view = made.views()[0]
    # 9 x 9 patches are merged into 5 x 5 tokens.
    assert view.masking is not None
    assert view.masking.grid == 5
    hidden = torch.zeros(3, 25, dtype=torch.bool)
    hidden[:, -1] = True
    images = torch.randint(0, 256, (3, 3, 18, 18), dtype=torch.uint8)
    losses = made(Views((images, images), torch.arange(3), (hidden, hidden)), 0.5)
    losses.total.backward()
    assert made._of_patches(hidden).unflatten(1, (9, 9)).nonzero()[:, 1:].tolist() == [[8, 8]] * 3


def test_masks_that_can_never_hide_anything_are_refused():
    made = DINOV2.model_copy(update={"masks": BlockMask(min_patches=9)}).build(trunk(hiding=Replaced()))
    with pytest.raises(InputError, match="9 came for 4 x 4 patches, of which 8 are hidden at most"):
        made.views()
    for names in ({"min_ratio": 0.6}, {"min_aspect": 4.0}):
        with pytest.raises(InputError, match="does not exceed"):
            BlockMask.parse(names, "masks")


def test_crops_that_are_no_multiple_of_the_patch_are_refused():
    with pytest.raises(InputError, match="local_size_px of crops that is a multiple of the patch size, 4, but 6 came"):
        Crops(local_size_px=6).views(trunk(), "usual")


def test_one_picture_has_no_neighbour():
    made = objective(DINOV2.model_copy(update={"koleo_weight": 0.1}))
    one = batch(made)
    alone = Views(
        tuple(view[:1] for view in one.images), one.indices[:1], tuple(m if m is None else m[:1] for m in one.masks)
    )
    with pytest.raises(InputError, match="two pictures in each process"):
        made(alone, 0.5)
    assert torch.isfinite(objective(DINOV2)(alone, 0.5).total)


def test_the_teacher_sees_positions_where_they_are():
    settings = {"positions": Rotary(shift=0.5, rescale=2.0), "mlp": SwiGluMlp()}
    made = DINO.build(trunk(**settings)).train()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert not torch.equal(made.trunk(images).patches, made.trunk(images).patches)
        assert torch.equal(made.teacher_trunk(images).patches, made.teacher_trunk(images).patches)


def test_the_papers_settings_are_those_of_a_million():
    for method in (dino, dinov2):
        usual = method.Config()
        large = shared.fitted(usual, 2_000_000)
        assert (large.momentum, large.teacher_temperature) == (usual.momentum, usual.teacher_temperature)
