"""The convolutional half of a hybrid: the first stages of a ResNet whose weights and features are normalised.

Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.1 ("Hybrid Architecture") and section 4.1; He et al., 2015,
arXiv 1512.03385, section 4.1 (bottlenecks); Qiao et al., 2019, arXiv 1903.10520, section 2 (standardised weights); Wu
and He, 2018, arXiv 1803.08494 (group norm); Kolesnikov et al., 2019, arXiv 1912.11370 (both together, in large).
Differs: as in the published code, the stride of a stage is taken by its first 3 x 3 convolution, not by a 1 x 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.errors import InputError

FIRST_REDUCTION = 4
"""Pixels a side that become one number after the first convolution and the pooling."""
RIGHT_AND_BELOW = (0, 1, 0, 1)
"""One zero where what is to be filled up is uneven."""
BOTTLENECK = 4
"""Width of a block over the width of its 3 x 3 convolution."""


class StandardizedConvolution(nn.Conv2d):
    """A convolution without bias whose weights have mean 0 and deviation 1 in every output channel.

    Sides are padded as TensorFlow's "SAME" does: what is too much for both sides alike goes right and below. That
    depends on the side's remainder by the stride, which here is always 0.

    Args:
        in_width, out_width: channels.
        side: of the kernel.
        stride: of its steps.
    """

    def __init__(self, in_width: int, out_width: int, side: int, stride: int = 1) -> None:
        filled = max(side - stride, 0)
        super().__init__(in_width, out_width, side, stride, padding=filled // 2, bias=False)
        self._is_uneven = filled % 2 == 1

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B _ _ _"]:
        weight = functional.layer_norm(self.weight, self.weight.shape[1:], eps=1e-8)
        padded = functional.pad(input, RIGHT_AND_BELOW) if self._is_uneven else input
        return functional.conv2d(padded, weight, stride=self.stride, padding=self.padding)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, each with a norm, added to what came in.

    Args:
        in_width, out_width: channels.
        stride: of the 3 x 3 convolution.
        num_groups: of the norms.
        shortcut: what is done to the input before the sum: identity where it has the shape already.
    """

    def __init__(self, in_width: int, out_width: int, stride: int, num_groups: int, shortcut: nn.Module) -> None:
        super().__init__()
        width = out_width // BOTTLENECK
        self.down = StandardizedConvolution(in_width, width, 1)
        self.down_norm = nn.GroupNorm(num_groups, width)
        self.across = StandardizedConvolution(width, width, 3, stride)
        self.across_norm = nn.GroupNorm(num_groups, width)
        self.up = StandardizedConvolution(width, out_width, 1)
        self.up_norm = nn.GroupNorm(num_groups, out_width)
        self.shortcut = shortcut

    def forward(self, features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B _ _ _"]:
        inner = functional.relu(self.down_norm(self.down(features)))
        inner = functional.relu(self.across_norm(self.across(inner)))
        return functional.relu(self.up_norm(self.up(inner)) + self.shortcut(features))


class ResNetFeatures(nn.Module):
    """A 7 x 7 convolution of stride 2, max pooling of stride 2, then stages of bottlenecks.

    The first stage keeps the grid, each further one halves it. Without stages it is the first convolution alone.

    Args:
        num_channels: of a picture.
        first_width: channels of the first convolution.
        depths: blocks of each stage; may be empty.
        widths: channels after each stage.
        num_groups: of all norms; a divisor of all widths and of the quarters of `widths`.

    Attributes:
        out_width: channels that go out.
        reduction: pixels a side that become one number.

    Raises:
        InputError: there are not as many widths as depths, or the groups do not divide a width.
    """

    def __init__(
        self, num_channels: int, first_width: int, depths: Sequence[int], widths: Sequence[int], num_groups: int
    ) -> None:
        super().__init__()
        _check(first_width, depths, widths, num_groups)
        self.out_width = widths[-1] if widths else first_width
        self.reduction = FIRST_REDUCTION * 2 ** max(len(depths) - 1, 0)
        self.first = StandardizedConvolution(num_channels, first_width, 7, 2)
        self.first_norm = nn.GroupNorm(num_groups, first_width)
        before = (first_width, *widths)
        self.stages = nn.Sequential(
            *(
                _stage(before[place], width, depth, 2 if place else 1, num_groups)
                for place, (depth, width) in enumerate(zip(depths, widths, strict=True))
            )
        )

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B _ h w"]:
        features = functional.relu(self.first_norm(self.first(images)))
        # Zeros are as good as minus infinity for a maximum of numbers that are not negative.
        pooled = functional.max_pool2d(functional.pad(features, RIGHT_AND_BELOW), 3, stride=2)
        return self.stages(pooled)


def _stage(in_width: int, width: int, depth: int, stride: int, num_groups: int) -> nn.Sequential:
    shortcut = nn.Sequential(StandardizedConvolution(in_width, width, 1, stride), nn.GroupNorm(num_groups, width))
    first = Bottleneck(in_width, width, stride, num_groups, shortcut)
    return nn.Sequential(first, *(Bottleneck(width, width, 1, num_groups, nn.Identity()) for _ in range(1, depth)))


def _check(first_width: int, depths: Sequence[int], widths: Sequence[int], num_groups: int) -> None:
    if len(depths) != len(widths):
        raise InputError(
            "a width for each stage of the stem", f"there are {len(widths)} for {len(depths)} stages", "change one"
        )
    for width in (first_width, *(width // BOTTLENECK for width in widths), *widths):
        if not width or width % num_groups:
            raise InputError(
                "a num_groups that divides every width of the stem, also within its bottlenecks",
                f"{num_groups} does not divide {width}",
                "change one",
            )
