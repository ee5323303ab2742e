"""ConvNeXt: settings, shapes, stages, endings, precision."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.core.protocols import Trunk
from chiasm.core.registry import Registry
from chiasm.heads import pool
from chiasm.trunks.convnext import SIZES, Config

SMALL = {"embed_dims": [8, 12], "depths": [1, 2], "image_size": 16, "patch_size": 2, "layer_scale": 0.5}
KINDS: dict[str, dict[str, Any]] = {
    "first": {},
    "second": {"mlp": {"kind": "gelu_response"}, "layer_scale": None},
    "normed": {"ending": {"kind": "normed"}},
    "dinov3": {"ending": {"kind": "mean_token"}},
}


def build(**settings: object) -> Any:
    torch.manual_seed(0)
    trunk = Config.parse({**SMALL, **settings}, "trunk").build().eval()
    # Response norms begin as the identity.
    for name, weight in trunk.named_parameters():
        if ".activation." in name:
            torch.nn.init.normal_(weight)
    return trunk


def images(batch: int = 2, height_px: int = 16, width_px: int = 16) -> torch.Tensor:
    return torch.randn(batch, 3, height_px, width_px, generator=torch.Generator().manual_seed(1))


def test_the_registry_knows_it():
    assert Registry("chiasm.trunks", "trunk").config("convnext") is Config


@pytest.mark.parametrize("kind", KINDS)
def test_settings_survive_json(kind):
    config = Config.parse({**SMALL, **KINDS[kind]}, "trunk")
    assert Config.parse(json.loads(config.model_dump_json()), "trunk") == config


def test_sizes_are_the_published_ones():
    widths = {"tiny": 768, "small": 768, "base": 1024, "large": 1536}
    counts = {}
    with torch.device("meta"):
        for size in SIZES:
            counts[size] = sum(weight.numel() for weight in Config(size=size).build().parameters())
        second = Config.parse(KINDS["second"], "trunk").build()
    # With the norm after pooling and a classifier of 1,000 classes.
    whole = {size: counts[size] + 2 * width + 1000 * (width + 1) for size, width in widths.items()}
    assert whole == {"tiny": 28_589_128, "small": 50_223_688, "base": 88_591_464, "large": 197_767_336}
    # ConvNeXt V2 tiny has 28,635,496.
    assert sum(weight.numel() for weight in second.parameters()) + 2 * 768 + 1000 * 769 == 28_635_496


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embed_dims": [8]}, "as many embed_dims as depths"),
        ({"depths": [1, 0]}, "all above 0"),
        ({"mlp": {"kind": "swiglu"}}, "mlp"),
        ({"ending": {"kind": "mean"}}, "'mean_token'"),
        ({"mean": [0.5]}, "for each channel"),
        ({"embed_dim": 4}, "did you mean 'embed_dims'"),
    ],
)
def test_wrong_settings_are_told_in_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        Config.parse({**SMALL, **settings}, "trunk")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "grid"), [((16, 16), (4, 4)), ((23, 34), (5, 8)), ((4, 5), (1, 1))])
def test_features_hold_what_they_promise(kind, size, grid):
    trunk = build(**KINDS[kind])
    assert issubclass(type(trunk), Trunk)
    assert (trunk.embed_dim, trunk.image_size, trunk.patch_size, trunk.hides_patches) == (12, 16, 2, False)
    features = trunk(images(2, *size), layers=[-1, 0])
    num_class_tokens = int(kind == "dinov3")
    assert features.grid == grid
    assert features.num_class_tokens == num_class_tokens
    assert features.prefix.shape == (2, num_class_tokens, 12)
    assert features.patch_map().shape == (2, 12, *grid)
    last, first = features.intermediates
    assert last.patch_map().shape == (2, 12, *grid)
    assert first.patch_map().shape == (2, 8, size[0] // 2, size[1] // 2)
    with pytest.raises(ValueError, match="from -2 to 1, but -3 came"):
        trunk(images(), layers=[-3])


def test_endings_are_what_they_are_called():
    bare, normed, dinov3 = build(), build(**KINDS["normed"]), build(**KINDS["dinov3"])
    tokens = bare(images(), layers=[-1])
    torch.testing.assert_close(tokens.patches, tokens.intermediates[0].patches, rtol=0, atol=0)
    torch.testing.assert_close(normed(images()).patches, normed.ending.norm(tokens.patches))
    features = dinov3(images())
    torch.testing.assert_close(features.patches, dinov3.ending.norm(tokens.patches))
    pooled = pool.Config(by=pool.ByMeanThenNorm(norm_eps=1e-6)).build(12)
    torch.testing.assert_close(features.prefix[:, 0], pooled(tokens))


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind):
    trunk = build(**KINDS[kind]).train()
    features = trunk(images(2, 20, 28))
    torch.cat([features.prefix, features.patches], dim=1).pow(3).sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_response_norm_is_the_formula_and_begins_as_the_identity():
    from chiasm.layers.response_norm import ResponseNorm

    torch.manual_seed(0)
    norm, tokens = ResponseNorm(5), torch.randn(2, 7, 5)
    torch.testing.assert_close(norm(tokens), tokens, rtol=0, atol=0)
    with torch.no_grad():
        norm.gain.normal_()
        norm.shift.normal_()
    for picture, found in zip(tokens, norm(tokens), strict=True):
        strength = picture.square().sum(0).sqrt()
        expected = norm.gain * picture * (strength / (strength.mean() + 1e-6)) + norm.shift + picture
        torch.testing.assert_close(found, expected)


def test_pictures_in_a_batch_do_not_touch_each_other():
    for kind in KINDS.values():
        trunk, batch = build(**kind), images(3, 20, 28)
        torch.testing.assert_close(trunk(batch).patches[1:2], trunk(batch[1:2]).patches, rtol=0, atol=1e-5)


def test_patches_cannot_be_hidden_and_pictures_not_be_too_small():
    with pytest.raises(InputError, match="a trunk that can hide patches, but convolutions see beyond them"):
        build()(images(), patch_mask=torch.zeros(2, 64, dtype=torch.bool))
    with pytest.raises(InputError, match="at least 4 px a side, but one of 3 x 16 px"):
        build()(images(1, 3, 16))


def test_drop_path_grows_over_all_stages_and_disturbs_training_only():
    trunk = build(drop_path=0.4)
    rates = [block.drop_path.rate for stage in trunk.stages for block in stage.blocks]
    assert rates == pytest.approx([0, 0.2, 0.4])
    torch.testing.assert_close(trunk(images()).patches, trunk(images()).patches, rtol=0, atol=0)
    trunk.train()
    torch.manual_seed(3)
    assert not torch.equal(trunk(images(8)).patches, trunk(images(8)).patches)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_autocast_and_weights_stay_near_float32(kind):
    trunk = build(**KINDS[kind])
    exact = trunk(images(2, 20, 28)).patches
    with torch.autocast("cpu", torch.bfloat16):
        mixed = trunk(images(2, 20, 28)).patches
    torch.testing.assert_close(mixed.float(), exact, rtol=0, atol=0.1)
    halved = trunk.bfloat16()(images(2, 20, 28).bfloat16()).patches
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved.float(), exact, rtol=0, atol=0.2)


def test_channels_follow_the_mean():
    trunk = build(mean=[0.5] * 5, std=[0.5] * 5)
    assert trunk(torch.randn(1, 5, 16, 16)).patches.shape == (1, 16, 12)
