"""Pickled weights, which are read only where a person asks for them, and then without running what they carry."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chiasm.core.errors import InputError

# In published pickles the weights often lie one level down, beside optimiser states and options.
_NESTS = ("model", "model_state_dict", "state_dict", "teacher", "module", "model_ema")
_PROTOCOL = b"\x80"
"""First byte of every pickle of the last twenty years."""


def unpickle(file: Path) -> dict[str, Tensor]:
    """The tensors of a pickled checkpoint by their names.

    Nothing but tensors, plain containers and the options of `argparse` (plain values) is unpickled.

    Raises:
        InputError: the file holds other objects or no tensors, or is damaged or no pickle at all.
    """
    content = _content(file)
    for nest in _NESTS:
        if isinstance(content, dict) and isinstance(content.get(nest), dict):
            content = content[nest]
    items = content.items() if isinstance(content, dict) else ()
    tensors = {str(key): value.detach() for key, value in items if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"tensors by their names in {file}", "there are none", "check the file")
    return tensors


def _content(file: Path) -> Any:
    is_archive = _is_archive(file)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            # Only an archive can be mapped into memory; files of before 2020 are none.
            return torch.load(file, map_location="cpu", weights_only=True, mmap=is_archive)
    except pickle.UnpicklingError:
        came = "it holds other objects, which could run code"
        raise InputError(f"nothing but tensors in {file}", came, "convert it to safetensors") from None
    except Exception as error:
        # A damaged pickle can fail at anything.
        if "TorchScript" in str(error):
            came = "it is a program (TorchScript)"
            raise InputError(f"tensors in {file}", came, "take the version in safetensors") from None
        reason = " ".join(str(error).split()).split(". ")[0] or type(error).__name__
        raise InputError(f"pickled weights at {file}", f"it cannot be read ({reason})", "copy it again") from None


def _is_archive(file: Path) -> bool:
    """Whether it is an archive of pickles, as PyTorch writes since 2020, or a bare pickle.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    try:
        if zipfile.is_zipfile(file):
            return True
        with file.open("rb") as opened:
            start = opened.read(1)
    except OSError as error:
        raise InputError(f"pickled weights at {file}", f"it cannot be read ({error.strerror})", "copy it") from None
    if start != _PROTOCOL:
        raise InputError(f"pickled weights at {file}", "it is something else, or was cut off", "copy it again")
    return False
