"""The stem of a hybrid: sizes, standardised weights, where patches begin, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.layers.patch import ResNet
from chiasm.layers.resnet_stem import ResNetFeatures, StandardizedConvolution
from chiasm.trunks.vit import Config

TINY = {"kind": "resnet", "depths": (1, 2), "widths": (16, 32), "first_width": 8, "num_groups": 4}


def trunk(patch_size: int = 16, **stem: object):
    settings = {"embed_dim": 16, "depth": 1, "num_heads": 2, "image_size": 32, "patch_size": patch_size}
    return Config.parse({**settings, "stem": TINY | stem}, "a hybrid").build()


def test_the_default_is_three_stages_of_a_resnet_50():
    with torch.device("meta"):
        stem = ResNet().build(3, 16, 768)
        tokens = stem.whole(torch.empty(2, 3, 224, 160))
    assert tokens.shape == (2, 14 * 10, 768)
    # As many as timm's vit_base_r50_s16_224 has in `patch_embed`.
    assert sum(parameter.numel() for parameter in stem.parameters()) == 12_682_048


@pytest.mark.parametrize(("depths", "widths", "patch_size"), [((), (), 8), ((1,), (16,), 4), ((1, 1), (16, 16), 8)])
def test_a_patch_is_what_the_stages_and_the_projection_make_of_it(depths, widths, patch_size):
    model = trunk(patch_size, depths=depths, widths=widths)
    features = model(torch.randn(1, 3, 32, 48))
    assert features.grid == (32 // patch_size, 48 // patch_size)
    assert features.patches.shape[1] == features.grid[0] * features.grid[1]


def test_scale_and_mean_of_a_weight_do_not_matter():
    convolution = StandardizedConvolution(3, 4, 3).double()
    images = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    before = convolution(images)
    with torch.no_grad():
        convolution.weight.mul_(7).add_(2)
    # But for the constant that keeps the division from zero.
    torch.testing.assert_close(convolution(images), before, rtol=1e-6, atol=1e-6)


def test_what_is_too_much_for_both_sides_goes_right_and_below():
    convolution = StandardizedConvolution(1, 1, 7, 2)
    weight = torch.randn(1, 1, 7, 7)
    convolution.weight.data = weight
    standard = (weight - weight.mean()) / (weight.var(correction=0) + 1e-8).sqrt()
    image = torch.randn(1, 1, 8, 8)
    # Zeros: two left and above, three right and below.
    around = torch.zeros(1, 1, 13, 13)
    around[..., 2:10, 2:10] = image
    found = convolution(image)
    assert found.shape == (1, 1, 4, 4)
    corner, opposite = (around[0, 0, :7, :7] * standard).sum(), (around[0, 0, 6:, 6:] * standard).sum()
    torch.testing.assert_close(found[0, 0, 0, 0], corner)
    torch.testing.assert_close(found[0, 0, 3, 3], opposite)


def test_features_are_pooled_by_their_largest():
    model = ResNetFeatures(3, 8, (), (), 4)
    images = torch.randn(1, 3, 16, 16)
    first = functional.relu(model.first_norm(model.first(images)))
    expected = torch.stack([first[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]).amax(dim=0)
    # Windows are 3 wide: they reach one further to the right and below.
    assert (model(images) >= expected).all()
    torch.testing.assert_close(model(images)[..., -1, -1], expected[..., -1, -1])


def test_every_weight_learns():
    model = trunk()
    model(torch.randn(2, 3, 32, 32)).prefix.square().sum().backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still


def test_half_precision():
    model = trunk().bfloat16()
    tokens = model(model.normalize(torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8))).patches
    assert tokens.dtype == torch.bfloat16
    assert tokens.isfinite().all()


def test_nothing_can_be_left_out():
    model = trunk()
    assert not model.hides_patches
    with pytest.raises(ValueError, match="left out of a linear stem alone"):
        model(torch.randn(1, 3, 32, 32), patch_mask=torch.zeros(1, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    ("stem", "told"),
    [
        ({"patch_size": 4}, "multiple of 8 for a stem of 2 stages"),
        ({"widths": (16,)}, "there are 1 for 2 stages"),
        ({"num_groups": 3}, "3 does not divide 8"),
        ({"widths": (16, 24)}, "4 does not divide 6"),
        ({"widths": (2, 16)}, "4 does not divide 0"),
    ],
)
def test_what_does_not_fit_is_told(stem, told):
    with pytest.raises(InputError, match=told):
        trunk(**{"patch_size": 16, **stem})
