"""Swin transformers: settings, shapes, windows, hidden patches, stages, precision."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.core.protocols import Trunk
from chiasm.core.registry import Registry
from chiasm.trunks.swin import SIZES, Config

SMALL = {
    "embed_dim": 8,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "image_size": 16,
    "patch_size": 2,
    "window_sizes": [4],
}
SECOND = {"attention": {"kind": "cosine"}, "norms": {"kind": "after"}, "windows": {"kind": "fixed"}}
KINDS: dict[str, dict[str, Any]] = {
    "first": {},
    "second": SECOND,
    "second, grown": {**SECOND, "attention": {"kind": "cosine", "trained_window_sizes": [3, 2], "qkv_bias": False}},
    "no bias": {"attention": {"kind": "dot_product", "qkv_bias": False}, "mlp": {"kind": "swiglu"}},
    "a window for each stage": {"window_sizes": [3, 2], "windows": {"kind": "fixed"}},
}


def build(**settings: object) -> Any:
    torch.manual_seed(0)
    trunk = Config.parse({**SMALL, **settings}, "trunk").build().eval()
    # Norms after a part begin at zero: nothing would pass them.
    for name, weight in trunk.named_parameters():
        if name.endswith("_post_norm.weight"):
            torch.nn.init.ones_(weight)
    return trunk


def images(batch: int = 2, height_px: int = 16, width_px: int = 16) -> torch.Tensor:
    return torch.randn(batch, 3, height_px, width_px, generator=torch.Generator().manual_seed(1))


def test_the_registry_knows_it():
    assert Registry("chiasm.trunks", "trunk").config("swin") is Config


@pytest.mark.parametrize("kind", KINDS)
def test_settings_survive_json(kind):
    config = Config.parse({**SMALL, **KINDS[kind], "hiding": {"kind": "mask_token"}}, "trunk")
    assert Config.parse(json.loads(config.model_dump_json()), "trunk") == config


def test_sizes_are_the_published_ones():
    counts = {}
    with torch.device("meta"):
        for size in SIZES:
            counts[size] = sum(weight.numel() for weight in Config(size=size).build().parameters())
        second = Config.parse({**SECOND, "window_sizes": [8], "image_size": 256}, "trunk").build()
    # In the paper's tables 28, 50, 88 and 197 million, with a classifier of 1,000 classes.
    classifiers = {"tiny": 768, "small": 768, "base": 1024, "large": 1536}
    whole = {size: counts[size] + 1000 * (width + 1) for size, width in classifiers.items()}
    assert whole == {"tiny": 28_288_354, "small": 49_606_258, "base": 87_768_224, "large": 196_532_476}
    # Swin v2 tiny with windows of 8 has 28,347,154.
    assert sum(weight.numel() for weight in second.parameters()) + 1000 * 769 == 28_347_154


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": [2]}, "as many num_heads as depths"),
        ({"depths": [2, 0]}, "all above 0"),
        ({"num_heads": [2, 3]}, "divide the width of stage 1, 16, but 3 came"),
        ({"window_sizes": [4, 4, 4]}, "one for each of 2 stages"),
        ({"window_sizes": [0]}, "one window size above 0"),
        ({"std": [1.0]}, "for each channel"),
        ({"hiding": {"kind": "left_out"}}, "hiding"),
        ({"attention": {"kind": "cosin"}}, "'cosine'"),
        ({"window_size": 4}, "did you mean 'window_sizes'"),
    ],
)
def test_wrong_settings_are_told_in_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        Config.parse({**SMALL, **settings}, "trunk")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("size", "grid"), [((16, 16), (4, 4)), ((21, 34), (6, 9)), ((6, 4), (2, 1)), ((2, 40), (1, 10))]
)
def test_features_hold_what_they_promise(kind, size, grid):
    trunk = build(**KINDS[kind])
    assert issubclass(type(trunk), Trunk)
    assert (trunk.embed_dim, trunk.image_size, trunk.patch_size, trunk.hides_patches) == (16, 16, 2, False)
    features = trunk(images(2, *size), layers=[-1, 0])
    assert features.grid == grid
    assert features.prefix.shape == (2, 0, 16)
    assert features.num_class_tokens == 0
    assert features.patch_map().shape == (2, 16, *grid)
    last, first = features.intermediates
    assert (last.grid, last.patches.shape[-1]) == (grid, 16)
    assert first.patch_map().shape == (2, 8, -(-size[0] // 2), -(-size[1] // 2))
    torch.testing.assert_close(trunk.norm(last.patches), features.patches)
    with pytest.raises(ValueError, match="from -2 to 1, but 2 came"):
        trunk(images(), layers=[2])


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind):
    trunk = build(**KINDS[kind]).train()
    trunk(images(2, 20, 28)).patches.pow(3).sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", ["first", "second"])
def test_learning_after_looking_is_as_without(kind):
    trunk = build(**KINDS[kind])
    with torch.inference_mode():
        expected = trunk(images(2, 24, 20)).patches
    found = trunk.train()(images(2, 24, 20)).patches
    found.pow(3).sum().backward()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["first", "second"])
def test_a_second_version_begins_as_its_merging(kind):
    torch.manual_seed(0)
    trunk = Config.parse({**SMALL, **KINDS[kind]}, "trunk").build()
    tokens, grid = torch.randn(2, 64, 8), (8, 8)
    moved = (trunk.stages[0](tokens, grid)[0] - tokens).abs().max()
    assert (moved == 0) == (kind == "second")


def test_pictures_in_a_batch_do_not_touch_each_other():
    trunk, batch = build(), images(3, 20, 28)
    torch.testing.assert_close(trunk(batch).patches[1:2], trunk(batch[1:2]).patches, rtol=0, atol=1e-6)


def test_tokens_see_their_window_and_only_across_the_shift_more():
    trunk = build(depths=[1, 1], num_heads=[2, 4])
    batch = images(1)
    changed = batch.clone()
    changed[..., :8, :8] += 1.0
    # A patch of 2 px, a window of 4: without a shift a stage of one block looks no further than 8 px.
    moved = (
        trunk(changed, layers=[0]).intermediates[0].patch_map() - trunk(batch, layers=[0]).intermediates[0].patch_map()
    )
    assert moved[..., :4, :4].abs().min() > 0
    assert moved[..., 4:, :].abs().max() == 0
    shifted = build()
    moved = (
        shifted(changed, layers=[0]).intermediates[0].patch_map()
        - shifted(batch, layers=[0]).intermediates[0].patch_map()
    )
    seen = moved[0].abs().amax(0) > 1e-6
    # The second block's windows begin at 2 and 6: what it joins is told apart again at the border.
    assert seen[:6, :6].all()
    assert not seen[6:].any()
    assert not seen[:, 6:].any()


def test_the_place_within_a_window_matters():
    trunk = build()
    batch = images(1)
    (plain,) = trunk(batch, layers=[0]).intermediates
    (flipped,) = trunk(batch.flip(3), layers=[0]).intermediates
    assert (flipped.patch_map().flip(3).mean((2, 3)) - plain.patch_map().mean((2, 3))).abs().max() > 1e-4


def test_a_mask_token_stands_in_for_hidden_patches():
    trunk = build(hiding={"kind": "mask_token"})
    with torch.no_grad():
        trunk.hiding.mask_token.normal_()
    mask = torch.zeros(2, 64, dtype=torch.bool)
    mask[0, :5] = mask[1, 3] = True
    features = trunk(images(), patch_mask=mask)
    assert features.visible is None
    painted = images()
    painted[0, :, :2, :10] = 9.0
    painted[1, :, :2, 6:8] = 9.0
    torch.testing.assert_close(trunk(painted, patch_mask=mask).patches, features.patches, rtol=0, atol=0)
    assert (trunk(images()).patches - features.patches).abs().max() > 1e-3
    features.patches.pow(3).sum().backward()
    assert trunk.hiding.mask_token.grad.abs().max() > 0
    with pytest.raises(ValueError, match=r"must be \[2, 64\].*it is \[2, 16\]"):
        trunk(images(), patch_mask=mask[:, :16])


def test_without_a_mask_token_nothing_can_be_hidden():
    with pytest.raises(InputError, match="this Swin transformer has no mask token; build it with hiding mask_token"):
        build()(images(), patch_mask=torch.zeros(2, 64, dtype=torch.bool))


def test_drop_path_grows_over_all_stages_and_disturbs_training_only():
    trunk = build(drop_path=0.3)
    rates = [block.drop_path.rate for stage in trunk.stages for block in stage.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    torch.testing.assert_close(trunk(images()).patches, trunk(images()).patches, rtol=0, atol=0)
    trunk.train()
    torch.manual_seed(3)
    assert not torch.equal(trunk(images(8)).patches, trunk(images(8)).patches)


@pytest.mark.parametrize("kind", ["first", "second"])
def test_bfloat16_autocast_and_weights_stay_near_float32(kind):
    trunk = build(**KINDS[kind])
    # Norms after a part blow up the rounding of what is next to nothing, as fresh weights make it.
    for weight in trunk.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    exact = trunk(images(2, 20, 28)).patches
    with torch.autocast("cpu", torch.bfloat16):
        mixed = trunk(images(2, 20, 28)).patches
    torch.testing.assert_close(mixed.float(), exact, rtol=0, atol=0.1)
    halved = trunk.bfloat16()(images(2, 20, 28).bfloat16()).patches
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved.float(), exact, rtol=0, atol=0.2)


@pytest.mark.parametrize("kind", ["first", "second"])
def test_bfloat16_autocast_trains(kind):
    trunk = build(**KINDS[kind]).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = trunk(images()).patches.float().pow(3).mean()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trunk.parameters())


def test_channels_follow_the_mean():
    trunk = build(mean=[0.5] * 5, std=[0.5] * 5)
    assert trunk(torch.randn(1, 5, 16, 16)).patches.shape == (1, 16, 16)
    normalised = build().normalize(torch.full((1, 3, 4, 4), 255, dtype=torch.uint8))
    assert normalised[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, 0.594 / 0.225])
