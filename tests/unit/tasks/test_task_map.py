"""The map: which pictures are on it, two models on one, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chiasm.core.errors import InputError
from chiasm.core.predictors import MapPainter, PictureMap
from chiasm.report.maps import MapPages
from chiasm.tasks.map import map as draw_map


class Notes:
    """Remembers what it was asked to draw."""

    def __init__(self) -> None:
        self.pages: list[tuple[Path, PictureMap, str, str]] = []
        self.animations: list[Path] = []

    def page(self, out, found, title, note) -> None:
        self.pages.append((out, found, title, note))

    def animation(self, out, found) -> None:
        self.animations.append(out)


def test_speaks_the_contract() -> None:
    assert isinstance(MapPages(), MapPainter)


@pytest.fixture
def painter() -> Notes:
    return Notes()


def test_every_picture_has_its_place_class_and_pixels(encoder, folder, colours, painter, tmp_path) -> None:
    record = draw_map(encoder, folder(colours), tmp_path / "m.html", painter, method="pca")
    ((out, found, title, note),) = painter.pages
    assert out == tmp_path / "m.html"
    assert (found.models, found.classes, len(found.keys)) == (("colour",), ("blue", "red"), 24)
    assert found.points[0].shape == (24, 2)
    for row, key in enumerate(found.keys):
        assert key.startswith(found.classes[found.labels[row]])
        assert found.picture(row)[0, 0].argmax() == (0 if key.startswith("red") else 2)
    assert "colour sees 24 pictures" in title
    assert "principal components" in note
    assert (record.num_points, record.num_pictures, record.apart, record.animation) == (24, 24, None, None)


def test_the_seed_draws_which_pictures_are_shown(encoder, folder, colours, painter, tmp_path) -> None:
    for seed in (0, 0, 1):
        record = draw_map(encoder, folder(colours), tmp_path / "m.html", painter, method="pca", points=9, seed=seed)
        assert (record.num_points, record.num_pictures) == (9, 24)
    first, again, other = (found.keys for _, found, _, _ in painter.pages)
    assert first == again
    assert set(first) != set(other)
    assert list(first) == sorted(first)


def test_the_second_map_is_turned_onto_the_first(encoder, encoder_named, folder, colours, painter, tmp_path) -> None:
    class Turned(encoder_named):
        def embed(self, source):
            found = super().embed(source)
            object.__setattr__(found, "vectors", found.vectors[:, [2, 0, 1]] * np.array([-1, 1, 1], np.float32))
            return found

    data, gif = folder(colours), tmp_path / "m.gif"
    record = draw_map(encoder, data, tmp_path / "m.html", painter, Turned("other"), "pca", animation=gif)
    ((_, found, title, note),) = painter.pages
    assert found.models == ("colour", "other")
    np.testing.assert_allclose(found.points[1], found.points[0], atol=1e-5)
    assert record.apart == pytest.approx(0, abs=1e-6)
    assert "colour and other see 24 pictures" in title
    assert "turned onto the first" in note
    assert painter.animations == [gif]


def test_pictures_that_one_of_the_models_cannot_read_are_left_out(encoder, folder, colours, painter, tmp_path) -> None:
    (colours / "red" / "00.png").write_bytes(b"torn")
    record = draw_map(encoder, folder(colours), tmp_path / "m.html", painter, method="pca")
    assert record.num_pictures == 23
    assert list(record.skipped) == ["red/00.png"]


def test_page_and_animation_are_drawn(encoder, encoder_named, folder, colours, tmp_path) -> None:
    page, gif = tmp_path / "m.html", tmp_path / "m.gif"
    draw_map(encoder, folder(colours), page, MapPages(4), encoder_named("<other>"), "pca", animation=gif)
    text = page.read_text()
    assert text.count('<figure class="morph">') == 1
    assert "&lt;other&gt;" in text
    assert "<other>" not in text
    assert text.count("data-places") == 2
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    with Image.open(gif) as frames:
        assert getattr(frames, "n_frames", 1) > 10
        first = np.asarray(frames.convert("RGB"))
        assert len(np.unique(first.reshape(-1, 3), axis=0)) > 3
    before = gif.read_bytes()
    draw_map(encoder, folder(colours), page, MapPages(4), encoder_named("<other>"), "pca", animation=gif)
    assert gif.read_bytes() == before
    assert page.read_text() == text


def test_what_is_refused(encoder, folder, colours, painter, paint, tmp_path) -> None:
    data, page = folder(colours), tmp_path / "m.html"
    with pytest.raises(InputError, match=r"a file name ending in \.html"):
        draw_map(encoder, data, tmp_path / "m.png", painter)
    with pytest.raises(InputError, match=r"a file name ending in \.gif"):
        draw_map(encoder, data, page, painter, encoder, animation=tmp_path / "m.mp4")
    with pytest.raises(InputError, match="two models for an animation, but one came"):
        draw_map(encoder, data, page, painter, animation=tmp_path / "m.gif")
    with pytest.raises(InputError, match="at least 4 points, but 3 came"):
        draw_map(encoder, data, page, painter, points=3)
    assert encoder.seen == []
    for name in "abc":
        paint(f"few/{name}.png", (9, 9, 9))
    with pytest.raises(InputError, match="at least 4 pictures for a map, but .* has 3"):
        draw_map(encoder, folder(tmp_path / "few"), page, painter)
    assert painter.pages == []
