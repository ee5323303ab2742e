"""Tensors on disk: safetensors only, written atomically, nothing executed on reading."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.files import atomic_path


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and a few words; an older file stays until the new one is complete.

    Raises:
        InputError: the disk is full or cannot be written.
    """
    # A copy each, since safetensors refuses tensors that share memory.
    own = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as part:
        try:
            save_file(own, part, dict(metadata))
        except SafetensorError as error:
            # The operating system's error comes wrapped; a full disk should be told as such.
            if f"os error {errno.ENOSPC}" in str(error):
                raise OSError(errno.ENOSPC, "No space left on device") from None
            raise


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def widened(tensor: Tensor) -> Tensor:
    """The tensor in float32 where it is stored in half precision; every processor computes with float32."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def read_metadata(path: Path) -> dict[str, str]:
    """Read the words that were written beside the tensors.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor by its name, from the file's header alone.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def count_numbers(path: Path) -> int:
    """How many numbers a file holds, from its header alone.

    Raises:
        InputError: the file is missing or damaged.
    """
    return sum(prod(shape) for shape in read_shapes(path).values())


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"a whole safetensors file at {path}", f"it cannot be read ({error})", "make or copy it again")
