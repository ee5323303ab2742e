"""Pictures: encoded faithfully and small, overlaid where they should be."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from chiasm.report import palette
from chiasm.report.pictures import (
    Picture,
    data_uri,
    mosaic,
    outlined,
    overlay,
    square_thumbnail,
    swatches,
    thumbnail,
)


def _decoded(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _photo(height: int, width: int) -> np.ndarray:
    """Smooth structure with sensor-like noise, which no lossless code packs well."""
    generator = np.random.default_rng(5)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = np.stack([np.sin(7 * rows + 3 * columns), np.cos(5 * columns), np.sin(9 * rows * columns)], axis=2)
    return np.clip(128 + 90 * waves + generator.normal(0, 6, waves.shape), 0, 255).astype(np.uint8)


def test_small_pictures_are_exact() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert data_uri(pixels).startswith("data:image/png;")
    np.testing.assert_array_equal(_decoded(data_uri(pixels)), pixels)


def test_synthetic_pictures_are_exact_and_photos_are_small() -> None:
    drawing = np.zeros((300, 400, 3), dtype=np.uint8)
    drawing[50:200, 80:240] = (200, 30, 60)
    np.testing.assert_array_equal(_decoded(data_uri(drawing)), drawing)
    photo = _photo(300, 400)
    uri = data_uri(photo)
    assert uri.startswith("data:image/webp;")
    assert len(uri) < photo.size / 8
    assert np.abs(_decoded(uri).astype(int) - photo).mean() < 6


def test_thumbnails_keep_proportions_and_never_grow() -> None:
    assert thumbnail(_photo(300, 400), 100).shape == (75, 100, 3)
    assert thumbnail(_photo(2000, 10), 100).shape == (100, 1, 3)
    small = _photo(30, 40)
    assert thumbnail(small, 100) is small


def test_square_thumbnail_is_the_centre() -> None:
    pixels = np.zeros((40, 120, 3), dtype=np.uint8)
    pixels[:, 40:80] = 255
    assert square_thumbnail(pixels, 20).min() == 255
    assert square_thumbnail(pixels, 64).shape == (64, 64, 3)


def test_picture_is_made_smaller_and_tells_its_size() -> None:
    picture = Picture.of(_photo(300, 400), "a wave", max_side_px=200)
    assert (picture.width_px, picture.height_px) == (200, 150)
    assert _decoded(picture.uri).shape == (150, 200, 3)
    assert 'width="200" height="150"' in picture.__html__()
    assert 'class="tiny"' not in picture.__html__()
    assert 'class="tiny"' in Picture.of(_photo(32, 32), "a wave").__html__()


def test_mosaic_places_pictures_row_by_row() -> None:
    pictures = np.stack([np.full((4, 6, 3), 10 * index, dtype=np.uint8) for index in range(5)])
    tiled = mosaic(pictures, num_columns=3, gap_px=2)
    assert tiled.shape == (10, 22, 3)
    for index in range(5):
        top, left = index // 3 * 6, index % 3 * 8
        assert (tiled[top : top + 4, left : left + 6] == 10 * index).all()
    assert (tiled[4:6] == 128).all()
    assert (tiled[6:, 16:] == 128).all()
    with pytest.raises(ValueError, match="needs pictures"):
        mosaic(pictures[:0], 3)


def test_overlay_paints_inside_only_with_an_opaque_edge() -> None:
    pixels = np.full((60, 80, 3), 100, dtype=np.uint8)
    masks = np.zeros((2, 60, 80), dtype=bool)
    masks[0, 10:30, 10:30] = True
    masks[1, 20:50, 20:60] = True
    painted = overlay(pixels, masks, opacity=0.5)
    tints = palette.distinct(2)
    assert (painted[~masks.any(axis=0)] == 100).all()
    assert tuple(painted[10, 10]) == tints[0]
    assert tuple(painted[20, 20]) == tints[1]
    np.testing.assert_allclose(painted[15, 15], (100 + np.array(tints[0])) / 2, atol=0.51)
    once = (100 + np.array(tints[0])) / 2
    np.testing.assert_allclose(painted[25, 25], (once + np.array(tints[1])) / 2, atol=0.51)
    assert (pixels == 100).all()
    np.testing.assert_array_equal(overlay(pixels, masks[:0]), pixels)


def test_boxes_end_before_their_exclusive_edges() -> None:
    pixels = np.zeros((50, 50, 3), dtype=np.uint8)
    drawn = outlined(pixels, np.array([[10.0, 20.0, 30.0, 40.0]]), [(255, 0, 0)])
    rows, columns = np.nonzero(drawn[..., 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 10, 29)
    assert drawn[30, 20].sum() == 0
    assert outlined(pixels, np.array([[10.0, 10.0, 10.0, 10.0]])).any()


def test_legend_colours_are_those_of_the_overlay() -> None:
    assert [palette.channels(swatch.colour) for swatch in swatches(["a", "b"])] == list(palette.distinct(2))
