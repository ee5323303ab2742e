"""A public checkpoint in the library that published it, beside the same checkpoint here: do they answer the same?

The only place that imports transformers, and only when a person asks for the comparison. Both sides compute in double
precision, so that what differs is the model and not the rounding.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from chiasm.core.errors import BrokenPictureError, InputError, MissingExtraError
from chiasm.core.example import Source
from chiasm.core.predictors import Record
from chiasm.models._store import load_model
from chiasm.models.encoder import PictureModel
from chiasm.weights.checkpoint import Foreign
from chiasm.weights.find import find

LIMIT = 1e-5
"""Largest difference that counts as agreement, as a share of the largest number in the reference's answer."""
PIXEL_LIMIT = 1.0
"""The same for preprocessed pixels, in levels of 255: both sides round to whole levels, in different places."""
# Of these families the published vector is what the library calls pooled; of the others its tokens are compared.
_POOLED = ("hf_clip", "hf_siglip")
_TEXTS = ("a photo of a cat.", "Two red cubes beside a blue ball", "")


class Agreement(Record):
    """How far two answers to the same question are apart.

    Attributes:
        part: what was asked.
        deviation: largest difference, in the answer's own units; for tokens, how many are others.
        largest: largest number in the reference's answer; for tokens, how many there are.
        agrees: whether that is within the limit.
    """

    part: str
    deviation: float
    largest: float
    agrees: bool


def compare_with_reference(name: str, pictures: Source, num_pictures: int) -> tuple[str, tuple[Agreement, ...]]:
    """Compare a public checkpoint here and in transformers.

    Args:
        name: of the checkpoint.
        pictures: to be preprocessed by both.
        num_pictures: how many of them.

    Returns:
        the reference's class, and one agreement for each part that can be compared.

    Raises:
        InputError: the checkpoint is one of our own or not in a layout of transformers.
        MissingExtraError: transformers is not installed.
    """
    stored = find(name)
    if (
        not isinstance(stored, Foreign)
        or stored.checkpoint.folder is None
        or "model_type" not in stored.checkpoint.settings
    ):
        raise InputError(
            "a checkpoint in the layout of transformers", f"{name} is in the layout {stored.layout}", "name another one"
        )
    transformers = _library()
    with _quiet(transformers), torch.no_grad():
        reference = _reference(transformers, stored)
        model = load_model(stored, PictureModel).double()
        found = list(_same_answers(stored.layout, reference, model))
        found += _same_texts(transformers, stored, reference, model)
        found += _same_pixels(transformers, stored, model, pictures, num_pictures)
    return type(reference).__name__, tuple(found)


def _library() -> ModuleType:
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise MissingExtraError("transformers", "verify") from None


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Without the library's progress bars and remarks, which are not about what was asked."""
    transformers.utils.logging.disable_progress_bar()
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(before)
        transformers.utils.logging.enable_progress_bar()


def _reference(transformers: ModuleType, stored: Foreign) -> Any:
    names = stored.checkpoint.settings.get("architectures") or ["AutoModel"]
    maker = getattr(transformers, names[0], None)
    if maker is None:
        raise InputError(
            f"a class {names[0]} in transformers {transformers.__version__}", "there is none", "install another version"
        )
    folder, is_safe = stored.checkpoint.folder, not stored.checkpoint.is_pickled
    model = maker.from_pretrained(folder, use_safetensors=is_safe, local_files_only=True).double().eval()
    if hasattr(model.config, "mask_ratio"):
        model.config.mask_ratio = 0.0
    return model


def _same_answers(layout: str, reference: Any, model: PictureModel) -> Iterator[Agreement]:
    """Pictures of noise through both models: their vectors, tokens or logits."""
    size = model.encoder.fit.side_px(model.encoder.trunk.image_size)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, size, size), generator=generator, dtype=torch.uint8)
    pixels = model.encoder.trunk.normalize(images)
    if hasattr(reference, "get_image_features"):
        yield _agreement("image vectors", model.encoder(images), _vector(reference.get_image_features(pixels)))
    elif model.own_head is not None:
        yield _agreement("logits", model(images), reference(pixel_values=pixels).logits)
    elif layout in _POOLED:
        yield _agreement("image vectors", model.encoder(images), _vector(reference(pixel_values=pixels)))
    else:
        yield _agreement("tokens", _tokens(model, pixels), _states(reference, pixels))


def _tokens(model: PictureModel, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N D"]:
    features = model.encoder.trunk(pixels)
    return torch.cat([features.prefix, features.patches], dim=1)


def _states(reference: Any, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N D"]:
    """The reference's last tokens; a map of convolutions row by row."""
    # A bare model of DINOv3's ConvNeXt calls its stages its base.
    takes_pictures = "pixel_values" in inspect.signature(reference.base_model.forward).parameters
    body = reference.base_model if takes_pictures else reference
    inputs: dict[str, Tensor] = {"pixel_values": pixels}
    if "noise" in inspect.signature(body.forward).parameters:
        # A masked autoencoder shuffles by noise even when it hides nothing.
        num_patches = (pixels.shape[-1] // body.config.patch_size) ** 2
        inputs["noise"] = torch.arange(num_patches, dtype=pixels.dtype).expand(len(pixels), -1)
    states = body(**inputs).last_hidden_state
    return states.flatten(2).transpose(1, 2) if states.ndim == 4 else states


def _vector(output: Any) -> Float[Tensor, "B D"]:
    """The vector in what the reference returned: itself, projected, or pooled."""
    if isinstance(output, Tensor):
        return output
    projected = getattr(output, "image_embeds", None)
    return output.pooler_output if projected is None else projected


def _same_texts(transformers: ModuleType, stored: Foreign, reference: Any, model: PictureModel) -> Iterator[Agreement]:
    """Sentences through both tokenizers and both models."""
    texts = model.texts
    if texts is None or not hasattr(reference, "get_text_features"):
        return
    tokens = texts.encoder.tokenizer(stored.tokenizer())(_TEXTS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(stored.checkpoint.folder, local_files_only=True)
    settings = {"padding": "max_length", "max_length": tokens.shape[1], "truncation": True}
    theirs = tokenizer(list(_TEXTS), **settings, return_tensors="pt").input_ids
    num_other = float((tokens != theirs).sum())
    yield Agreement(part="tokens of texts", deviation=num_other, largest=float(tokens.numel()), agrees=num_other == 0)
    yield _agreement("text vectors", texts.encoder(tokens), _vector(reference.get_text_features(tokens)))


def _same_pixels(
    transformers: ModuleType, stored: Foreign, model: PictureModel, pictures: Source, count: int
) -> Iterator[Agreement]:
    """Real pictures through both ways of preprocessing, in levels of 255."""
    if not stored.checkpoint.processor:
        return
    processor = transformers.AutoImageProcessor.from_pretrained(stored.checkpoint.folder, local_files_only=True)
    trunk = model.encoder.trunk
    mean, std = np.array(trunk.mean), np.array(trunk.std)
    deviation = 0.0
    for picture in islice(_readable(pictures), count):
        theirs = np.asarray(processor(picture, return_tensors="np")["pixel_values"][0]).transpose(1, 2, 0)
        ours = model.encoder.fit(picture, model.encoder.fit.side_px(trunk.image_size))
        deviation = max(deviation, float(np.abs(ours - 255 * (theirs * std + mean)).max()))
    yield Agreement(part="pixels", deviation=deviation, largest=255.0, agrees=deviation <= PIXEL_LIMIT)


def _readable(pictures: Source) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    for index in range(len(pictures)):
        try:
            yield pictures.read(index).picture
        except BrokenPictureError:
            # What is broken cannot be compared; the caller counts what is left.
            continue


def _agreement(part: str, ours: Tensor, theirs: Tensor) -> Agreement:
    if ours.shape != theirs.shape:
        shapes = f"{list(ours.shape)} and {list(theirs.shape)}"
        raise InputError(f"{part} of one shape on both sides", f"they are {shapes}", "report this checkpoint")
    deviation, largest = float((ours - theirs).abs().max()), float(theirs.abs().max())
    return Agreement(part=part, deviation=deviation, largest=largest, agrees=deviation <= LIMIT * largest)
