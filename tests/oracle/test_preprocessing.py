"""Squares of ours against the pixels of transformers' processors (those on Pillow), over sizes, shapes and settings.

Pictures of less than half a megapixel must be equal to the last bit; larger ones, and those whose fit decodes at a
reduced scale, are allowed what is stated.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.data.decode import decode
from chiasm.data.fits import AnyFit
from chiasm.data.reference_fits import ShorterSide
from chiasm.data.resample import LARGE_PIXELS
from chiasm.weights.checkpoint import read_folder
from chiasm.weights.layouts._pictures import CLIP_MEAN, CLIP_STD, channels, fit, open_clip_fit, timm_fit

transformers = pytest.importorskip("transformers")
DEV_DATA = Path(os.environ.get("CHIASM_DEV_DATA", "../shared/data")) / "imagenet_500"

# Height and width: odd ones, small ones that must grow, narrow ones, the target itself.
SIZES = [(37, 53), (61, 40), (224, 224), (225, 224), (151, 390), (501, 333), (30, 299), (257, 256)]
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "BLIP": ("BlipImageProcessorPil", {}),
    "BLIP, number for a size": ("BlipImageProcessorPil", {"size": 160}),
    "CLIP": ("CLIPImageProcessorPil", {}),
    "CLIP, 336": ("CLIPImageProcessorPil", {"size": {"shortest_edge": 336}, "crop_size": 336}),
    "CLIP, number for a size": ("CLIPImageProcessorPil", {"size": 224, "crop_size": 224}),
    "CLIP, crop larger than the picture": ("CLIPImageProcessorPil", {"size": {"shortest_edge": 151}}),
    "CLIP, nothing resized": ("CLIPImageProcessorPil", {"do_resize": False}),
    "DINOv2": ("BitImageProcessorPil", {"size": {"shortest_edge": 256}}),
    "DINOv2, odd border": ("BitImageProcessorPil", {"size": {"shortest_edge": 255}}),
    "ViT": ("ViTImageProcessorPil", {}),
    "ViT, number for a size": ("ViTImageProcessorPil", {"size": 160}),
    "ViT, lanczos": ("ViTImageProcessorPil", {"resample": 1}),
    "ViT, nearest": ("ViTImageProcessorPil", {"resample": 0}),
    "DeiT": ("DeiTImageProcessorPil", {}),
    "SigLIP": ("SiglipImageProcessorPil", {"size": {"height": 256, "width": 256}}),
    "ConvNeXt": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 224}}),
    "ConvNeXt, share": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 224}, "crop_pct": 0.95}),
    "ConvNeXt, whole": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": 384}}),
}


class Holder(Config):
    fit: AnyFit


def noise(height: int, width: int) -> np.ndarray:
    """The hardest picture for a resampling: every pixel another."""
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ours(settings: dict[str, Any]) -> Any:
    return Holder.model_validate({"fit": fit(settings, 224, {})}).fit


def stored(processor: Any, folder: Path) -> dict[str, Any]:
    processor.save_pretrained(folder)
    return json.loads((folder / "preprocessor_config.json").read_text())


def pixels(processor: Any, picture: np.ndarray) -> np.ndarray:
    """What the reference makes of a picture, before the numbers are scaled."""
    found = processor(Image.fromarray(picture), do_rescale=False, do_normalize=False)["pixel_values"][0]
    return np.asarray(found).transpose(1, 2, 0)


def off(ours: np.ndarray, theirs: np.ndarray) -> int:
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max())


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_pixel_is_that_of_the_processor(name, tmp_path):
    kind, settings = PROCESSORS[name]
    processor = getattr(transformers, kind)(**settings)
    made = ours(stored(processor, tmp_path))
    for size in SIZES:
        picture = noise(*size)
        assert off(made(picture, made.side_px(224)), pixels(processor, picture)) == 0, size


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in PROCESSORS.values()}))
def test_what_settings_leave_out_is_what_the_class_takes(kind):
    processor = getattr(transformers, kind)()
    made = ours({"image_processor_type": kind.removesuffix("Pil") + "Fast", "do_center_crop": None})
    old = ours({"feature_extractor_type": kind.replace("ImageProcessorPil", "FeatureExtractor")})
    picture = noise(151, 390)
    assert off(made(picture, made.side_px(224)), pixels(processor, picture)) == 0
    assert old == made


@pytest.mark.parametrize("name", ["CLIP", "ViT", "SigLIP", "DINOv2"])
def test_large_pictures_are_within_one_level_and_exact_on_demand(name, tmp_path):
    kind, settings = PROCESSORS[name]
    processor = getattr(transformers, kind)(**settings)
    picture = noise(900, 1201)
    assert picture.shape[0] * picture.shape[1] > LARGE_PIXELS
    swift = ours(stored(processor, tmp_path))
    expected = pixels(processor, picture)
    found = swift(picture, swift.side_px(224))
    assert off(found, expected) == 1
    assert (found != expected).mean() < 0.01
    exact = swift.model_copy(update={"headroom": None})
    assert off(exact(picture, exact.side_px(224)), expected) == 0
    assert exact.min_side_px(224) is None


def test_numbers_of_pixels(tmp_path):
    picture = noise(224, 224)
    for settings in ({}, {"rescale_factor": 1 / 127.5}, {"do_normalize": False}, {"do_rescale": False}):
        processor = transformers.CLIPImageProcessorPil(**settings)
        numbers = channels(stored(processor, tmp_path), CLIP_MEAN, CLIP_STD)
        expected = np.asarray(processor(Image.fromarray(picture))["pixel_values"][0]).transpose(1, 2, 0)
        found = (picture / 255.0 - np.array(numbers["mean"])) / np.array(numbers["std"])
        assert np.abs(found - expected).max() < 1e-5 * max(1.0, float(np.abs(expected).max()))


def test_photos_are_equal_decoding_included(tmp_path):
    files = sorted((DEV_DATA / "images").glob("*.jpg"))[::25]
    if not files:
        pytest.skip("the development photos are not here")
    for name in ("CLIP", "DINOv2", "SigLIP", "ConvNeXt"):
        kind, settings = PROCESSORS[name]
        processor = getattr(transformers, kind)(**settings)
        made = ours(stored(processor, tmp_path))
        for file in files:
            data = file.read_bytes()
            picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            square = made(decode(data, file.name, made.min_side_px(made.size_px)), made.size_px)
            assert off(square, pixels(processor, picture)) == 0, (name, file.name)


def test_elongated_pictures_take_little_memory():
    made = ours({"image_processor_type": "CLIPImageProcessor"})
    for shape in ((1, 60_000), (60_000, 1)):
        picture = np.full((*shape, 3), 77, np.uint8)
        tracemalloc.start()
        square = made(picture, 224)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert square.shape == (224, 224, 3)
        assert (square == 77).all()
        assert peak < 8 << 20


@pytest.mark.parametrize("settings", [{"size": {"height": 224, "width": 336}}, {"size": 224, "resample": 9}])
def test_what_cannot_be_followed_is_told(settings):
    with pytest.raises(InputError):
        fit({"image_processor_type": "ViTImageProcessor", **settings}, 224, {})


# Digests of what timm 1.0.31 and open_clip 3.3.0 made of the same pictures, with torchvision 0.29 and Pillow; they
# cannot be imported here.
@pytest.mark.parametrize(
    ("made", "flat", "upright"),
    [
        (timm_fit({"crop_pct": 0.9}, 224), "476b9ff9ba0b5a92", "b83c052a34974f8e"),
        (timm_fit({"crop_pct": 0.95, "interpolation": "bilinear"}, 224), "083d38785fc8c390", "ab52ca1c62acf450"),
        (timm_fit({"crop_pct": 0.95, "crop_mode": "squash"}, 224), "e71067c0f4bb1dc0", "4ae37500b5767e24"),
        (timm_fit({"crop_pct": 1.0, "crop_mode": "border"}, 224), "67719794f3a10619", "b264c4cce58e836a"),
        (timm_fit({"crop_pct": 0.9, "crop_mode": "border"}, 224), "e2dfb84e7d8734f4", "4bfcf4146754b0ae"),
        (open_clip_fit({}, 224), "e8725f9b17050961", "65f84ab5a5afb8d0"),
        (
            open_clip_fit({"resize_mode": "squash", "interpolation": "bilinear"}, 224),
            "d140c98fd0fd3b80",
            "db367fc90a1b4bd9",
        ),
        (open_clip_fit({"resize_mode": "longest", "fill_color": 9}, 224), "cdfe9046ff02c452", "03b9dc56408c83fc"),
    ],
)
def test_timm_and_open_clip(made, flat, upright):
    placed = Holder.model_validate({"fit": made}).fit
    for size, expected in (((151, 390), flat), ((61, 40), upright)):
        square = placed(noise(*size), placed.side_px(384))
        assert hashlib.blake2b(square.tobytes(), digest_size=8).hexdigest() == expected


def test_a_processor_within_another_is_read(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    settings = transformers.CLIPImageProcessorPil(size={"shortest_edge": 300}).to_dict()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    made = ours(dict(read_folder(tmp_path, "m").processor))
    assert made == ShorterSide(size_px=224, resize_px=300)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**settings, "size": {"shortest_edge": 310}}))
    assert ours(dict(read_folder(tmp_path, "m").processor)).resize_px == 310


def test_what_is_seen_of_a_picture():
    placed = ours({"image_processor_type": "CLIPImageProcessor"})
    assert placed.seen(100, 300) == pytest.approx((100, 0, 200, 100), abs=0.5)
    filled = ours({"image_processor_type": "CLIPImageProcessor", "do_resize": False})
    assert filled.seen(100, 300) == (38, -62, 262, 162)
