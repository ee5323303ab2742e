"""What the layouts of all vision transformers are compared in: tokens, hidden patches, layers, spellings of names."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from references import check, difference, pixels
from safetensors.torch import save_file
from torch import Tensor, nn

import chiasm
from chiasm.core.features import Features
from chiasm.core.tensors import read_shapes
from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import registry

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 4,
}
# Its own size; smaller; as many patches in another shape; larger and not square.
SIZES = ((32, 32), (24, 24), (16, 64), (48, 40))


class Precise:
    """A stand-in for the module `torch` in which float32 is float64.

    Some references compute a part (resampled positions, angles) in float32 whatever their precision is; with this in
    place of their `torch` they compute it in float64, so that nothing but our errors is left to see.
    """

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def tokens_of(features: Features) -> Tensor:
    return torch.cat([features.prefix, features.patches], dim=1)


def tokens(model: Any, images: Tensor, **options: Any) -> Tensor:
    """What our trunk answers to pictures of RGB 0 to 255."""
    trunk = model.encoder.trunk
    return tokens_of(trunk(trunk.normalize(images), **options))


def check_tokens(layout: str, family: str, folder: Path, reference: Any, module: ModuleType, **asked: Any) -> None:
    """Compare the last tokens in float64 and float32 at several sizes.

    Args:
        layout: as in `weights.layouts`.
        family: what people call the models.
        folder: that the reference was saved to.
        reference: in float64.
        module: that defines it; it is made precise where it is not.
        asked: further arguments of the reference.
    """
    ours = chiasm.load(str(folder))
    assert all(parameter.dtype == torch.float64 for parameter in ours.parameters())
    name = f"transformers.{type(reference).__name__}"
    for size in SIZES:
        images = pixels(*size)
        inputs = ours.encoder.trunk.normalize(images)
        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "torch", Precise())
            expected = reference(pixel_values=inputs, **asked).last_hidden_state
            check(layout, family, name, _part(size), float64=difference(tokens(ours, images), expected))
    single, theirs = chiasm.load(str(folder)).float(), copy.deepcopy(reference).float()
    for size in SIZES:
        images = pixels(*size)
        with torch.no_grad():
            expected = theirs(pixel_values=single.encoder.trunk.normalize(images), **asked).last_hidden_state
            check(layout, family, name, _part(size), float32=difference(tokens(single, images), expected))


def _part(size: tuple[int, int]) -> str:
    return "tokens" if size == SIZES[0] else "tokens at another size"


def check_hidden(layout: str, family: str, folder: Path, reference: Any) -> Tensor:
    """Compare the tokens where some patches are replaced by the mask token; returns which."""
    model = chiasm.load(str(folder))
    images = pixels(32, 32)
    mask = torch.rand(2, 64, generator=torch.Generator().manual_seed(4)) < 0.4
    with torch.no_grad():
        expected = reference(pixel_values=model.encoder.trunk.normalize(images), bool_masked_pos=mask)
        found = tokens(model, images, patch_mask=mask)
    name = f"transformers.{type(reference).__name__}"
    check(layout, family, name, "hidden patches", float64=difference(found, expected.last_hidden_state))
    return mask


def check_layers(layout: str, family: str, folder: Path, reference: Any) -> None:
    """Compare every layer; ours are normed, which the reference's hidden states are not."""
    model = chiasm.load(str(folder))
    trunk: Any = model.encoder.trunk
    images = pixels(32, 32)
    with torch.no_grad():
        inputs = trunk.normalize(images)
        states: Sequence[Tensor] = reference(pixel_values=inputs, output_hidden_states=True).hidden_states[1:]
        normed = [trunk.norm(state) for state in states]
        found = trunk(inputs, layers=[-1, 0]).intermediates
        trunk.norm = nn.Identity()
        raw = trunk(inputs, layers=[-1, 0]).intermediates
    name = f"transformers.{type(reference).__name__}"
    for features, expected in (*zip(found, normed[::-1], strict=True), *zip(raw, states[::-1], strict=True)):
        check(layout, family, name, "layers", float64=difference(tokens_of(features), expected))


def check_spellings(folder: Path, reference: Any, on_disk: str, in_memory: str) -> None:
    """Names as transformers writes them to disk and as it has them in memory lead to the same weights.

    Args:
        folder: that the reference was saved to.
        reference: the model.
        on_disk, in_memory: a name that only this spelling has.
    """
    weights = folder / "model.safetensors"
    assert on_disk in read_shapes(weights)
    before = chiasm.load(str(folder)).state_dict()
    state = {name: tensor.contiguous() for name, tensor in reference.state_dict().items()}
    assert in_memory in state
    assert on_disk not in state
    save_file(state, weights)
    after = chiasm.load(str(folder)).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def check_defaults(layout: str, model_type: str, config: Any) -> None:
    """A configuration without any key is read like one with all keys at the reference's own defaults."""

    def read(settings: dict[str, Any]) -> Any:
        checkpoint = Checkpoint(name="x", files=(), is_pickled=False, settings=settings, processor={}, folder=None)
        assert registry.module(layout).recognises(checkpoint)
        return registry.module(layout).read(checkpoint)

    assert read({"model_type": model_type}) == read(json.loads(config.to_json_string(use_diff=False)))
