"""Explain by patches: what is asked of the model, what is drawn, and where it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.explaining import HeadMaps, PatchPainter, PatchTokens, PatchView
from chiasm.core.predictors import Encoder
from chiasm.tasks.explain import Explained, explain


class PatchExplainer:
    """Patches are the mean colours of the quarters of a picture; remembers which size it was asked for."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.sizes: list[int | None] = []

    def seen(self, height_px, width_px):
        raise AssertionError("patches are shown over what the model saw")

    def heat(self, source, directions, method):
        raise AssertionError("heat was not asked for")

    def patches(self, source, size_px):
        self.sizes.append(size_px)
        squares = np.stack([source.read(index).picture[:16, :16] for index in range(len(source))])
        tokens = squares.reshape(len(squares), 2, 8, 2, 8, 3).mean(axis=(2, 4))
        return PatchTokens(squares, tokens, tuple(map(source.key, range(len(source)))), (("bad.png", "broken"),))

    def heads(self, source, size_px):
        found = self.patches(source, size_px)
        attention = found.tokens.transpose(0, 3, 1, 2) / 1e4
        return HeadMaps(found.squares, attention, "the class token", found.keys, found.skipped)


class Sheets:
    """Returns the picture as it is; remembers what it was to draw."""

    def __init__(self) -> None:
        self.drawn: list[np.ndarray] = []
        self.notes: list[str] = []
        self.titles: list[str] = []

    def components(self, square, colours, title, note):
        return self._kept(square, colours, title, note)

    def heads(self, square, attention, title, note):
        return self._kept(square, attention, title, note)

    def page(self, out, found, colours, title, note):
        self._kept(found, colours, title, note)
        out.write_text(" ".join(found.keys))

    def _kept(self, square, drawn, title, note):
        self.drawn.append(drawn)
        self.titles.append(title)
        self.notes.append(note)
        return square


@pytest.fixture
def sheets() -> Sheets:
    return Sheets()


@pytest.fixture
def mixed(paint, folder, tmp_path):
    paint("mixed/deep/a.png", (250, 20, 30))
    paint("mixed/b.png", (20, 30, 250))
    paint("mixed/c.png", (90, 90, 100))
    return folder(tmp_path / "mixed")


def show(
    encoder: Encoder, source, out: Path, sheets: PatchPainter | None, by: PatchView, **options
) -> tuple[Explained, PatchExplainer]:
    model = PatchExplainer(encoder)

    def unasked(picture, heat, box, title, note):
        raise AssertionError("heat was not to be drawn")

    return explain(model, source, out, unasked, by=by, sheets=sheets, **options), model


def test_components_of_all_pictures_share_a_scale(encoder, mixed, sheets, tmp_path):
    record, model = show(encoder, mixed, tmp_path / "maps", sheets, "pca", size=64)
    assert isinstance(Sheets(), PatchPainter)
    assert (record.method, record.classes_from, record.num_classes) == ("pca", None, 0)
    assert model.sizes == [64]
    assert {one.key for one in record.explanations} == {"b.png", "c.png", "deep/a.png"}
    assert all(one.out.is_file() and one.label is one.probability is None for one in record.explanations)
    assert record.skipped == {"bad.png": "broken"}
    colours = np.stack(sheets.drawn)
    assert colours[..., 0].min() == 0
    assert colours[..., 0].max() == 1
    # Within a picture the colour is even; between pictures it is not.
    assert np.ptp(colours[..., 0], axis=(1, 2)).max() < 0.3
    assert sheets.notes[0] == "2 x 2 patches · one scale of colours for all pictures · b.png"


def test_the_background_is_black_where_it_is_left_out(encoder, mixed, sheets, tmp_path):
    show(encoder, mixed, tmp_path / "whole", sheets, "pca")
    assert (np.stack(sheets.drawn).sum(axis=-1) > 0).mean() > 0.9
    sheets.drawn.clear()
    show(encoder, mixed, tmp_path / "part", sheets, "pca", foreground=True)
    black = (np.stack(sheets.drawn) == 0).all(axis=-1)
    assert 0 < black.mean() < 1
    assert (black == black[:, :1, :1]).all()


def test_heads_tell_how_much_of_their_attention_is_shown(encoder, mixed, sheets, tmp_path):
    record, _ = show(encoder, mixed, tmp_path / "maps", sheets, "heads")
    assert record.method == "heads"
    assert sheets.drawn[0].shape == (3, 2, 2)
    assert sheets.titles == ["where the class token looks"] * 3
    share = sheets.drawn[0].sum(axis=(1, 2)).mean()
    assert sheets.notes[0] == f"2 x 2 patches · {share:.0%} of attention on patches · b.png"


def test_similarity_is_one_page(encoder, mixed, sheets, tmp_path):
    record, _ = show(encoder, mixed, tmp_path / "page.html", sheets, "similarity")
    assert {one.out for one in record.explanations} == {record.out} == {tmp_path / "page.html"}
    assert record.out.read_text() == "b.png c.png deep/a.png"
    assert sheets.drawn[0].shape == (3, 2, 2, 3)
    assert sheets.notes == [f"{encoder.name} · 2 x 2 patches"]


@pytest.mark.parametrize(
    ("by", "out", "options", "told"),
    [
        ("pca", "maps", {"label": "red"}, "leave one of them out"),
        ("heads", "maps", {"labels": ("a", "b")}, "leave one of them out"),
        ("pca", "maps", {"method": "rollout"}, "leave one of them out"),
        ("pca", "maps", {"shots": 2}, "leave one of them out"),
        ("heads", "maps", {"foreground": True}, "heads has none"),
        ("similarity", "page", {}, "ending in .html"),
        ("pca", "a.png", {}, "a new folder for 3 pictures"),
        ("pca", "mixed", {}, "not empty"),
    ],
)
def test_what_does_not_go_together(encoder, mixed, sheets, tmp_path, by, out, options, told):
    with pytest.raises(InputError, match=told):
        show(encoder, mixed, tmp_path / out, sheets, by, **options)
    assert not sheets.drawn


def test_options_of_patches_need_patches_and_a_painter(encoder, mixed, sheets, tmp_path):
    model = PatchExplainer(encoder)

    def unasked(picture, heat, box, title, note):
        raise AssertionError("nothing was to be drawn")

    with pytest.raises(InputError, match="add by"):
        explain(model, mixed, tmp_path / "maps", unasked, size=64)
    with pytest.raises(InputError, match="add by"):
        explain(model, mixed, tmp_path / "maps", unasked, foreground=True)
    with pytest.raises(InputError, match="give a PatchPainter"):
        show(encoder, mixed, tmp_path / "maps", None, "pca")
    assert not (tmp_path / "maps").exists()
