"""The vision transformer: settings, shapes, hidden patches, intermediate layers, precision."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.core.protocols import Trunk
from chiasm.core.registry import Registry
from chiasm.trunks import vit
from chiasm.trunks.vit import SIZES, Config

SMALL = {"embed_dim": 16, "depth": 3, "num_heads": 2, "image_size": 16, "patch_size": 4}
KINDS = {
    "plain": {},
    "sincos": {"positions": {"kind": "sincos"}},
    "rotary": {"positions": {"kind": "rotary", "rescale": 2.0}, "num_register_tokens": 2, "key_bias": False},
    "dinov2": {"layer_scale": 1.0, "mlp": {"kind": "swiglu"}, "num_register_tokens": 3},
    "clip": {
        "pre_norm": True,
        "stem": {"kind": "linear", "bias": False},
        "mlp": {"kind": "gelu_quick"},
        "norm_eps": 1e-5,
    },
    "siglip": {"cls_token": False, "mlp": {"kind": "gelu_tanh"}},
}


def build(**settings: object) -> Any:
    torch.manual_seed(0)
    return Config.parse({**SMALL, **settings}, "trunk").build().eval()


def images(batch: int = 2, height_px: int = 16, width_px: int = 16) -> torch.Tensor:
    return torch.randn(batch, 3, height_px, width_px, generator=torch.Generator().manual_seed(1))


def hide(batch: int, hidden: int, num_patches: int = 16) -> torch.Tensor:
    order = torch.rand(batch, num_patches, generator=torch.Generator().manual_seed(2)).argsort(dim=1)
    return order < hidden


def test_the_registry_knows_it():
    assert Registry("chiasm.trunks", "trunk").config("vit") is Config


@pytest.mark.parametrize("kind", KINDS)
def test_settings_survive_json(kind):
    config = Config.parse({**SMALL, **KINDS[kind]}, "trunk")
    assert Config.parse(json.loads(config.model_dump_json()), "trunk") == config


def test_sizes_are_the_published_ones():
    shapes = {size: Config(size=size).shape for size in SIZES}
    assert (shapes["base"].embed_dim, shapes["base"].depth, shapes["base"].num_heads) == (768, 12, 12)
    assert Config(size="tiny", depth=2).shape.depth == 2
    with torch.device("meta"):
        counts = {size: sum(p.numel() for p in Config(size=size).build().parameters()) for size in ("tiny", "base")}
    # ViT-Ti/16 and ViT-B/16 without a classifier, less the class token's own position.
    assert counts == {"tiny": 5_524_416 - 192, "base": 85_798_656 - 768}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 30}, "multiple of patch_size, 4, but 30 came"),
        ({"image_size": 50, "patch_size": 16}, "multiple of patch_size, 16, but 50 came"),
        ({"num_heads": 3}, "3 does not divide 16"),
        ({"std": [1.0, 1.0]}, "for each channel"),
        ({"std": [0.0, 1.0, 1.0]}, "std above 0"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"patchsize": 4}, "did you mean 'patch_size'"),
        ({"positions": {"kind": "rotary", "embed": 3}}, "positions.rotary.embed"),
        ({"positions": {"kind": "rotery"}}, "'rotary'"),
        ({"positions": {"kind": "rotary"}, "embed_dim": 12, "num_heads": 2}, "multiple of 4"),
    ],
)
def test_wrong_settings_are_told_in_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        Config.parse({**SMALL, **settings}, "trunk").build()


@pytest.mark.parametrize("kind", KINDS)
def test_features_hold_what_they_promise(kind):
    trunk = build(**KINDS[kind])
    assert issubclass(type(trunk), Trunk)
    assert (trunk.embed_dim, trunk.image_size, trunk.patch_size, trunk.hides_patches) == (16, 16, 4, True)
    features = trunk(images(2, 8, 24))
    num_registers = KINDS[kind].get("num_register_tokens", 0)
    assert features.num_class_tokens == int(KINDS[kind].get("cls_token", True))
    assert features.prefix.shape == (2, features.num_class_tokens + num_registers, 16)
    assert features.patches.shape == (2, 12, 16)
    assert features.grid == trunk.grid(8, 24) == (2, 6)
    assert features.patch_map().shape == (2, 16, 2, 6)
    assert features.visible is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns_and_every_picture_counts(kind):
    trunk = build(**KINDS[kind]).train()
    features = trunk(images())
    torch.cat([features.prefix, features.patches], dim=1).pow(3).sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_pictures_in_a_batch_do_not_touch_each_other():
    trunk, batch = build(), images(3)
    torch.testing.assert_close(trunk(batch).patches[1:2], trunk(batch[1:2]).patches, rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_trunk():
    one, two = build(), build()
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(weight, two.state_dict()[name], rtol=0, atol=0)


def test_positions_matter_and_prefix_tokens_differ():
    trunk = build(num_register_tokens=2)
    flipped = trunk(images().flip(3))
    assert (flipped.prefix - trunk(images()).prefix).abs().max() > 1e-4
    assert (flipped.prefix[:, 1] - flipped.prefix[:, 2]).abs().max() > 1e-4


@pytest.mark.parametrize("size", [(18, 16), (16, 18), (16, 2)])
def test_a_picture_that_does_not_divide_is_said(size):
    with pytest.raises(InputError, match="multiples of the patch size, 4 px"):
        build()(images(1, *size))


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_patches_have_no_influence(kind):
    trunk, batch, mask = build(**KINDS[kind]), images(), hide(2, 10)
    features = trunk(batch, patch_mask=mask)
    assert features.patches.shape == (2, 6, 16)
    assert torch.equal(features.visible, (~mask).nonzero()[:, 1].view(2, 6))
    painted = batch.clone()
    covered = mask.view(2, 1, 4, 4).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    painted[covered.expand_as(painted)] = 9.0
    torch.testing.assert_close(trunk(painted, patch_mask=mask).patches, features.patches, rtol=0, atol=0)
    with pytest.raises(ValueError, match="needs all patches"):
        features.patch_map()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_that_hides_nothing_changes_nothing(kind):
    trunk = build(**KINDS[kind])
    none_hidden = torch.zeros(2, 16, dtype=torch.bool)
    torch.testing.assert_close(trunk(images(), patch_mask=none_hidden).patches, trunk(images()).patches)


def test_a_mask_token_stands_in_for_hidden_patches():
    trunk = build(hiding={"kind": "mask_token"})
    assert not trunk.hides_patches
    with torch.no_grad():
        trunk.hiding.mask_token.normal_()
    uneven = torch.zeros(2, 16, dtype=torch.bool)
    uneven[0, :5] = uneven[1, 3] = True
    features = trunk(images(), patch_mask=uneven)
    assert features.visible is None
    assert features.patches.shape == (2, 16, 16)
    painted = images()
    painted[0, :, :4] = 9.0
    torch.testing.assert_close(trunk(painted, patch_mask=uneven).prefix[1], features.prefix[1])
    painted = images()
    painted[1, :, :4, 12:] = 9.0
    torch.testing.assert_close(trunk(painted, patch_mask=uneven).patches, features.patches)
    features.patches.sum().backward()
    assert trunk.hiding.mask_token.grad.abs().max() > 0


def test_a_mask_of_the_wrong_shape_is_said():
    with pytest.raises(ValueError, match=r"must be \[2, 16\].*it is \[2, 12\]"):
        build()(images(), patch_mask=hide(2, 3, 12))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_intermediate_features_are_those_of_a_shallower_trunk(depth):
    trunk, shallow = build(), build(depth=depth)
    shallow.load_state_dict(trunk.state_dict(), strict=False)
    (middle,) = trunk(images(), patch_mask=hide(2, 4), layers=[depth - 1]).intermediates
    expected = shallow(images(), patch_mask=hide(2, 4))
    torch.testing.assert_close(middle.prefix, expected.prefix)
    torch.testing.assert_close(middle.patches, expected.patches)
    assert torch.equal(middle.visible, expected.visible)


def test_gradients_flow_through_intermediates_but_not_into_later_blocks():
    trunk = build()
    trunk(images(), layers=[1]).intermediates[0].patches.pow(3).sum().backward()
    assert trunk.blocks[0].mlp.up.weight.grad.abs().max() > 0
    assert trunk.blocks[2].mlp.up.weight.grad is None


def test_intermediates_come_in_the_order_asked_for():
    trunk = build()
    features = trunk(images(), layers=[-1, 0, 2])
    torch.testing.assert_close(features.intermediates[0].patches, features.patches)
    torch.testing.assert_close(features.intermediates[2].patches, features.patches)
    assert (features.intermediates[1].patches - features.patches).abs().max() > 1e-3
    with pytest.raises(ValueError, match="from -3 to 2, but 3 came"):
        trunk(images(), layers=[3])


def test_drop_path_grows_with_depth_or_not():
    assert [block.drop_path.rate for block in build(drop_path=0.2).blocks] == pytest.approx([0, 0.1, 0.2])
    assert [block.drop_path.rate for block in build(drop_path=0.2, drop_path_uniform=True).blocks] == [0.2] * 3


def test_drop_path_disturbs_training_only():
    torch.manual_seed(0)
    trunk = build(drop_path=0.5)
    torch.testing.assert_close(trunk(images()).patches, trunk(images()).patches, rtol=0, atol=0)
    trunk.train()
    assert not torch.equal(trunk(images(8)).patches, trunk(images(8)).patches)


def test_normalize_is_the_formula_in_the_precision_of_the_weights():
    trunk = build(mean=[0.5, 0.4, 0.3], std=[0.2, 0.25, 0.3])
    pixels = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    torch.testing.assert_close(trunk.normalize(pixels), (pixels / 255 - mean) / std)
    halved = trunk.bfloat16().normalize(pixels)
    torch.testing.assert_close(halved, ((pixels / 255 - mean) / std).bfloat16(), rtol=0, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_autocast_and_weights_stay_near_float32(kind):
    trunk = build(**KINDS[kind])
    exact = trunk(images())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = trunk(images())
    assert mixed.patches.dtype == torch.float32
    torch.testing.assert_close(mixed.patches, exact.patches, rtol=0, atol=0.05)
    halved = trunk.bfloat16()(images().bfloat16(), patch_mask=hide(2, 4))
    assert halved.patches.dtype == torch.bfloat16
    assert halved.patches.isfinite().all()


def test_bfloat16_autocast_trains():
    trunk = build().train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = trunk(images()).patches.pow(3).mean()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trunk.parameters())


def test_channels_follow_the_mean():
    trunk = build(mean=[0.5] * 5, std=[0.5] * 5)
    assert trunk(torch.randn(1, 5, 16, 16)).patches.shape == (1, 16, 16)


def of_all(features: Any) -> list[torch.Tensor]:
    return [part for each in features for part in (each.prefix, each.patches)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hiding", ["left_out", "mask_token"])
def test_one_row_gives_what_one_call_for_each_size_does(kind, hiding, monkeypatch):
    trunk = build(**{**KINDS[kind], "hiding": {"kind": hiding}}).double()
    crops = [images(2).double(), images(3, 8, 12).double(), images(4, 8, 8).double()]
    masks = [hide(2, 10), None, None]
    found = []
    for packs in (False, True):
        monkeypatch.setattr(vit, "packing_is_faster", lambda groups, packs=packs: packs)
        features = trunk.encode_together(crops, masks)
        parts = of_all(features)
        flat = torch.cat([part.flatten() for part in parts])
        loss = flat @ torch.linspace(-1, 1, flat.numel(), dtype=flat.dtype)
        found.append([*parts, *torch.autograd.grad(loss, list(trunk.parameters()))])
        assert [each.grid for each in features] == [(4, 4), (2, 3), (2, 2)]
        assert [each.visible is None for each in features] == [hiding == "mask_token", True, True]
        assert {each.num_class_tokens for each in features} == {int(trunk.prefix.num_class_tokens)}
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_one_row_runs_through_each_block_once_and_without_masks(monkeypatch):
    monkeypatch.setattr(vit, "packing_is_faster", lambda groups: True)
    trunk = build()
    seen: list[tuple[int, ...]] = []
    for block in trunk.blocks:
        block.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    trunk.encode_together([images(2), images(3, 8, 8)])
    assert seen == [(1, 2 * 17 + 3 * 5, 16)] * 3


def test_one_row_drops_branches_of_whole_pictures(monkeypatch):
    monkeypatch.setattr(vit, "packing_is_faster", lambda groups: True)
    torch.manual_seed(0)
    trunk = build(depth=1, drop_path=0.5, drop_path_uniform=True).train()
    same = images(1).expand(8, -1, -1, -1)
    first, second = trunk.encode_together([same, same[..., :8, :8]])
    for features in (first, second):
        # Half of the pictures keep each of two branches, so at most four different answers come of one picture.
        answers = {tuple(row.tolist()) for row in features.prefix[:, 0].round(decimals=4)}
        assert 2 <= len(answers) <= 4
