"""The decoder of hidden patches, and the head that tells the pixels of a token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from chiasm.core.errors import InputError
from chiasm.core.features import Features
from chiasm.heads.masked_decoder import Config, fitting_depth, fitting_dim
from chiasm.heads.pixel_head import PixelHead
from chiasm.ops.patches import unpatchify
from chiasm.trunks import vit

WIDTH, GRID, PATCH = 16, 4, 4


def decoder(**settings: Any) -> Any:
    torch.manual_seed(0)
    trunk = vit.Config(image_size=GRID * PATCH, patch_size=PATCH, embed_dim=WIDTH, depth=3, num_heads=2).build()
    return Config(**{"embed_dim": 12, "depth": 2, "num_heads": 2, **settings}).build(trunk).double()


def features(num_prefix: int = 1) -> tuple[Any, torch.Tensor]:
    """Those of five visible patches of sixteen in each of three pictures, and where the others are."""
    generator = torch.Generator().manual_seed(1)
    order = torch.rand(3, GRID * GRID, generator=generator).argsort(1)
    prefix = torch.randn(3, num_prefix, WIDTH, generator=generator, dtype=torch.float64)
    patches = torch.randn(3, 5, WIDTH, generator=generator, dtype=torch.float64)
    return Features(prefix, patches, (GRID, GRID), min(num_prefix, 1), visible=order[:, :5]), order[:, 5:]


@pytest.mark.parametrize("num_prefix", [0, 1, 3])
def test_every_hidden_patch_gets_its_pixels(num_prefix):
    given, hidden = features(num_prefix)
    assert decoder()(given, hidden).shape == (3, 11, 3 * PATCH * PATCH)


def test_places_are_known_by_their_positions_alone():
    part = decoder()
    given, hidden = features()
    told = part(given, hidden)
    order = torch.randperm(hidden.shape[1], generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(part(given, hidden[:, order]), told[:, order])
    shuffled = Features(given.prefix, given.patches.flip(1), given.grid, 1, visible=given.visible.flip(1))
    torch.testing.assert_close(part(shuffled, hidden), told)
    moved = Features(given.prefix, given.patches, given.grid, 1, visible=given.visible.flip(1))
    assert not torch.allclose(part(moved, hidden), told, atol=1e-6)


def test_pictures_do_not_see_each_other():
    part = decoder()
    given, hidden = features()
    alone = Features(given.prefix[1:2], given.patches[1:2], given.grid, 1, visible=given.visible[1:2])
    torch.testing.assert_close(part(alone, hidden[1:2]), part(given, hidden)[1:2])


def test_features_of_whole_pictures_are_refused():
    given, hidden = features()
    with pytest.raises(ValueError, match="give the trunk a patch_mask"):
        decoder()(Features(given.prefix, given.patches, given.grid, 1), hidden)


@pytest.mark.parametrize(
    ("trunk_dim", "trunk_depth", "patch", "width", "depth"),
    [
        (1280, 32, 14, 512, 8),  # ViT-H, cut to what the paper has
        (1024, 24, 16, 512, 8),  # ViT-L, the paper's own
        (768, 12, 16, 384, 4),
        (384, 12, 16, 256, 4),
        (192, 12, 16, 256, 4),
        (192, 12, 8, 96, 4),
        (128, 6, 8, 64, 2),
        (128, 6, 4, 64, 2),
        (32, 1, 4, 32, 1),
    ],
)
def test_the_size_follows_the_trunk_and_the_patch(trunk_dim, trunk_depth, patch, width, depth):
    assert (fitting_dim(trunk_dim, patch), fitting_depth(trunk_depth)) == (width, depth)


def sizes(part: Any) -> tuple[int, int, int]:
    """Width, depth and heads."""
    return part.norm.normalized_shape[0], len(part.blocks), part.blocks[0].attention.num_heads


def test_what_is_chosen_and_what_is_given():
    trunk = vit.Config(size="pico", image_size=32, patch_size=8).build()
    assert sizes(Config().build(trunk)) == (64, 2, 2)
    assert sizes(Config(embed_dim=48, depth=3, num_heads=4).build(trunk)) == (48, 3, 4)
    assert sizes(Config(embed_dim=100).build(trunk)) == (100, 2, 2)
    assert sizes(Config(embed_dim=20).build(trunk)) == (20, 2, 1)
    with pytest.raises(InputError, match="5 does not divide 48"):
        Config(embed_dim=48, num_heads=5).build(trunk)
    with pytest.raises(InputError, match="multiple of 4"):
        Config.parse({"embed_dim": 30}, "the decoder")


def test_it_begins_as_in_the_paper():
    part = decoder(embed_dim=128, num_heads=4)
    weight = part.blocks[0].mlp.up.weight.detach()
    bound = (6 / sum(weight.shape)) ** 0.5
    assert float(weight.abs().max()) == pytest.approx(bound, rel=0.01)
    assert float(part.mask_token.detach().std()) == pytest.approx(0.02, rel=0.3)
    assert not any(bias.detach().any() for name, bias in part.named_parameters() if name.endswith("bias"))
    assert not list(part.buffers())


def test_the_pixel_head_is_a_convolution_and_a_shuffle():
    torch.manual_seed(0)
    head = PixelHead(WIDTH, 8).double()
    tokens = torch.randn(2, 6, WIDTH, dtype=torch.float64)
    convolution = nn.Conv2d(WIDTH, 3 * 64, 1).double()
    convolution.load_state_dict({"weight": head.linear.weight[..., None, None], "bias": head.linear.bias})
    expected = nn.PixelShuffle(8)(convolution(tokens.transpose(1, 2).unflatten(2, (2, 3))))
    torch.testing.assert_close(unpatchify(head(tokens), (2, 3), 8), expected)
