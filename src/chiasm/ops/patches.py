"""Pictures as rows of patches, and rows of patches with some left out.

Patches are counted row by row from the top left. The numbers within a patch keep the order of a picture (channel, row,
column), which is the order of a convolution's weight: flattening a `[D C p p]` kernel gives the matrix that acts on
these rows.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from chiasm.core.errors import InputError


def grid_of(height_px: int, width_px: int, patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches in a picture.

    Raises:
        InputError: a side is shorter than a patch or no multiple of it.
    """
    if min(height_px, width_px) < patch_size or height_px % patch_size or width_px % patch_size:
        raise InputError(
            f"a picture whose sides are multiples of the patch size, {patch_size} px",
            f"one of {height_px} x {width_px} px (height x width) came",
            "resize or crop it first",
        )
    return height_px // patch_size, width_px // patch_size


def patchify(images: Float[Tensor, "B C H W"], patch_size: int) -> Float[Tensor, "B N D"]:
    """Cut pictures into square patches; D = C * patch_size * patch_size.

    Raises:
        InputError: a side is no multiple of `patch_size`.
    """
    batch, channels, height_px, width_px = images.shape
    rows, columns = grid_of(height_px, width_px, patch_size)
    cut = images.reshape(batch, channels, rows, patch_size, columns, patch_size)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * patch_size * patch_size)


def unpatchify(patches: Float[Tensor, "B N D"], grid: tuple[int, int], patch_size: int) -> Float[Tensor, "B C H W"]:
    """Put the patches of `patchify` together again.

    Raises:
        ValueError: the number of patches is not that of the grid.
    """
    batch, num_patches, _ = patches.shape
    rows, columns = grid
    if num_patches != rows * columns:
        raise ValueError(f"a grid of {rows} x {columns} needs {rows * columns} patches, but {num_patches} came")
    cut = patches.reshape(batch, rows, columns, -1, patch_size, patch_size)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, rows * patch_size, columns * patch_size)


def check_mask(patch_mask: Bool[Tensor, "B _"], patches: Float[Tensor, "B N _"], grid: tuple[int, int]) -> None:
    """Hold a mask against the patches that it hides.

    Raises:
        ValueError: it has not one number for each.
    """
    if patch_mask.shape != patches.shape[:2]:
        rows, columns = grid
        raise ValueError(
            f"patch_mask must be [{len(patches)}, {rows * columns}] for {len(patches)} pictures of {rows} x {columns} "
            f"patches, but it is {list(patch_mask.shape)}"
        )


def hidden_pixels(patch_mask: Bool[Tensor, "B N"], like: Tensor, patch_size: int) -> Bool[Tensor, "B 1 H W"]:
    """Which pixels of the pictures `like` are hidden.

    Patches that reach beyond the picture, at its right and bottom, are cut off there.
    """
    height, width = like.shape[-2:]
    grid = patch_mask.unflatten(1, (-(-height // patch_size), -1)).unsqueeze(1)
    whole = grid.repeat_interleave(patch_size, dim=2).repeat_interleave(patch_size, dim=3)
    return whole[..., :height, :width]


def visible_positions(patch_mask: Bool[Tensor, "B N"]) -> Int64[Tensor, "B _"]:
    """Positions of the patches that are not hidden, in rising order.

    Args:
        patch_mask: True = hidden.

    Raises:
        ValueError: the rows hide different numbers of patches, or hide them all.
    """
    shown = ~patch_mask
    counts = shown.sum(dim=1)
    fewest, most = int(counts.min()), int(counts.max())
    if fewest != most or fewest == 0:
        raise ValueError(
            f"every row of patch_mask must leave the same number of patches visible, at least 1; "
            f"here it is {fewest} to {most}"
        )
    return shown.nonzero()[:, 1].view(len(patch_mask), fewest)


def take_tokens(tokens: Float[Tensor, "B _ D"], positions: Int64[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
    """The tokens at some positions, each row with its own."""
    return tokens.gather(1, positions.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def put_tokens(
    background: Float[Tensor, "B _ D"], positions: Int64[Tensor, "B N"], tokens: Float[Tensor, "B N D"]
) -> Float[Tensor, "B _ D"]:
    """A copy of `background` with `tokens` at some positions, each row with its own; undoes `take_tokens`."""
    return background.scatter(1, positions.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]), tokens)
