"""Stems: the linear one equals a convolution, the convolutional one keeps the order of patches and can hide none."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn

from chiasm.core.errors import InputError
from chiasm.layers.patch import ConvolutionalStem, Convolutions, PatchEmbedding
from chiasm.trunks import vit


def images(side_px: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))


def test_the_linear_stem_equals_a_strided_convolution():
    torch.manual_seed(0)
    stem = PatchEmbedding(3, 8, 16, bias=True)
    convolution = nn.Conv2d(3, 16, 8, stride=8)
    weight = cast(torch.Tensor, stem.projection.weight)
    with torch.no_grad():
        convolution.weight.copy_(weight.view(16, 3, 8, 8))
        cast(torch.Tensor, convolution.bias).copy_(cast(torch.Tensor, stem.projection.bias))
    assert torch.allclose(stem.whole(images()), convolution(images()).flatten(2).transpose(1, 2), atol=1e-5)


@pytest.mark.parametrize(("patch_size", "widths"), [(2, [128]), (8, [32, 64, 128]), (16, [24, 32, 64, 128])])
def test_as_many_convolutions_as_the_patch_size_needs(patch_size, widths):
    stem = ConvolutionalStem(3, patch_size, 128)
    found = [layer.out_channels for layer in stem.layers if isinstance(layer, nn.Conv2d)]
    assert found == widths
    assert stem.whole(images()).shape == (2, (32 // patch_size) ** 2, 128)


def test_extra_convolutions_follow_the_last_strided_ones():
    stem = Convolutions(extra=(1, 2)).build(3, 8, 128)
    found = [(layer.out_channels, layer.stride[0]) for layer in stem.modules() if isinstance(layer, nn.Conv2d)]
    assert found == [(32, 2), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (128, 1)]
    assert stem.whole(images()).shape == (2, 16, 128)
    with pytest.raises(InputError, match="at most 2 levels"):
        Convolutions(extra=(1, 1, 1)).build(3, 4, 16)


def test_tokens_stand_where_their_patches_are():
    torch.manual_seed(0)
    stem = ConvolutionalStem(3, 8, 32).eval()
    one, other = images(), images()
    # Patch (2, 1) of a 4 x 4 grid is token 9.
    other[:, :, 16:18, 8:10] += 10
    changed = (stem.whole(one) - stem.whole(other)).abs().sum(dim=(0, 2))
    assert int(changed.argmax()) == 9
    assert changed[15] == 0


def test_a_patch_size_that_cannot_be_halved_is_refused():
    with pytest.raises(InputError, match="power of two"):
        Convolutions().build(3, 12, 16)


SETTINGS = {
    "image_size": 32,
    "patch_size": 8,
    "embed_dim": 16,
    "depth": 1,
    "num_heads": 2,
    "stem": {"kind": "convolutions"},
}


def test_nothing_of_a_replaced_patch_reaches_convolutions():
    trunk = vit.Config.parse({**SETTINGS, "hiding": {"kind": "mask_token"}}, "the trunk").build().eval()
    assert trunk.replaces_patches
    assert not trunk.hides_patches
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[0, [5, 6]], mask[1, 15] = True, True
    pictures = images()
    others = pictures.clone()
    others[0, :, 8:16, 8:24] = 3
    others[1, :, 24:, 24:] = -3
    seen, same = trunk(pictures, patch_mask=mask).patches, trunk(others, patch_mask=mask).patches
    torch.testing.assert_close(seen, same, rtol=0, atol=0)
    others[0, :, 0, 0] += 1
    assert (trunk(others, patch_mask=mask).patches != seen).any()
    seen.square().sum().backward()
    (token,) = trunk.hiding.parameters()
    assert token.grad is not None
    assert token.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="patch_mask must be"):
        trunk(pictures, patch_mask=mask[:, :9])


def test_a_trunk_of_convolutions_leaves_nothing_out():
    trunk = vit.Config.parse(SETTINGS, "the trunk").build().eval()
    assert not trunk.hides_patches
    with pytest.raises(ValueError, match="linear stem"):
        trunk(images(), patch_mask=torch.zeros(2, 16, dtype=torch.bool))
    assert trunk(images(48)).patches.shape == (2, 36, 16)
    trunk.train()(images()).patches.sum().backward()
    assert all(parameter.grad is not None for parameter in trunk.patch_embedding.parameters())
