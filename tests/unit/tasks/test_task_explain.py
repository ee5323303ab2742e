"""Explain: which class is asked about, along which direction, and what is written where."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from chiasm.adapt.centroid import CentroidLearner
from chiasm.core.errors import InputError
from chiasm.core.explaining import HeatMaps
from chiasm.core.predictors import Encoder
from chiasm.tasks._drawings import write_drawings
from chiasm.tasks.explain import Explained, explain


class ColourExplainer:
    """Maps whose heat is as if each channel were one patch: direction times vector; remembers what it was asked.

    What its patches are is the subject of `test_task_explain_patches.py`.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.directions: np.ndarray | None = None
        self.keys: list[str] = []

    def seen(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        return 0, 0, width_px, height_px / 2

    def heat(self, source, directions, method):
        self.directions = directions
        self.keys = [source.key(index) for index in range(len(source))]
        vectors = self.encoder.embed(source).vectors
        towards = vectors if directions is None else directions
        return HeatMaps((vectors * towards).clip(min=0)[:, None], tuple(self.keys), method or "rollout")

    def patches(self, source, size_px):
        raise AssertionError("patches were not asked for")

    def heads(self, source, size_px):
        raise AssertionError("heads were not asked for")


class Painter:
    """Returns the picture as it is; remembers what it was to paint."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.notes: list[str] = []
        self.boxes: list[tuple[float, float, float, float]] = []

    def __call__(self, picture, heat, box, title, note):
        self.titles.append(title)
        self.notes.append(note)
        self.boxes.append(box)
        return picture


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def mixed(paint, folder, tmp_path):
    paint("mixed/deep/a.png", (250, 20, 30))
    paint("mixed/b.png", (20, 30, 250))
    return folder(tmp_path / "mixed")


def labels_of(record: Explained) -> dict[str, str | None]:
    return {one.key: one.label for one in record.explanations}


def test_the_most_probable_name_of_each_picture(reading, mixed, painter, tmp_path):
    model = ColourExplainer(reading)
    record = explain(model, mixed, tmp_path / "maps", painter, labels=("red", "blue"))
    assert labels_of(record) == {"b.png": "blue", "deep/a.png": "red"}
    assert (record.classes_from, record.num_classes, record.method) == ("labels", 2, "rollout")
    assert sorted(path.relative_to(tmp_path / "maps").as_posix() for path in (tmp_path / "maps").rglob("*.png")) == [
        "b.png",
        "deep/a.png",
    ]
    assert all(one.out.is_file() for one in record.explanations)
    assert painter.titles == ["blue", "red"]
    assert painter.notes[0].startswith("probability 1.00")
    assert painter.notes[0].endswith("rollout · b.png")
    assert painter.boxes == [(0, 0, 20, 8)] * 2
    assert model.directions is not None
    # For blue and against red, and the other way round.
    assert (np.sign(model.directions[:, [0, 2]]) == [[-1, 1], [1, -1]]).all()
    for one in record.explanations:
        assert one.probability is not None
        assert one.cosine is not None
        assert one.probability > 0.9
        assert 0.9 < one.cosine < 1


def test_directions_lie_along_the_sphere_at_the_vectors_length(reading, mixed, painter, tmp_path):
    model = ColourExplainer(reading)
    explain(model, mixed, tmp_path / "maps", painter, labels=("red", "blue", "green"))
    asked = reading.embed(mixed)
    assert model.directions is not None
    assert np.allclose((model.directions * asked.vectors).sum(axis=1), 0, atol=1e-5)


def test_one_label_for_all_pictures(reading, mixed, painter, tmp_path):
    record = explain(ColourExplainer(reading), mixed, tmp_path / "maps", painter, label="Red", labels=("red", "blue"))
    assert set(labels_of(record).values()) == {"red"}
    assert [one.probability is not None and one.probability > 0.5 for one in record.explanations] == [False, True]
    with pytest.raises(InputError, match="did you mean 'blue'"):
        explain(ColourExplainer(reading), mixed, tmp_path / "more", painter, label="blu", labels=("red", "blue"))


def test_a_name_alone_has_a_cosine_and_no_probability(reading, words, mixed, painter, tmp_path):
    model = ColourExplainer(reading)
    record = explain(model, mixed, tmp_path / "maps", painter, label="red", templates=("the colour {}",))
    assert reading.text.seen == ["the colour red"]
    assert [one.probability for one in record.explanations] == [None, None]
    assert [one.cosine is not None and one.cosine > 0.9 for one in record.explanations] == [False, True]
    assert painter.notes[1].startswith("cosine 1.00")
    # A model that judges names one by one has a probability all the same.
    reading.text = words(logit_bias=-5.0)
    record = explain(model, mixed, tmp_path / "more", painter, label="red")
    assert all(one.probability is not None for one in record.explanations)


def test_classes_after_examples(encoder, mixed, folder, colours, painter, tmp_path):
    learner = CentroidLearner(0.07)
    record = explain(
        ColourExplainer(encoder), mixed, tmp_path / "maps", painter, examples=folder(colours), learner=learner, shots=3
    )
    assert record.classes_from == "examples"
    assert labels_of(record) == {"b.png": "blue", "deep/a.png": "red"}
    assert [one.cosine for one in record.explanations] == [None, None]


def test_the_models_own_classes_are_read_at_their_own_length(trained, mixed, painter, tmp_path):
    model = ColourExplainer(trained)
    record = explain(model, mixed, tmp_path / "maps", painter)
    assert record.classes_from == "model"
    assert set(labels_of(record).values()) == {"bright, light"}
    asked = trained.embed(mixed)
    assert model.directions is not None
    assert np.allclose(model.directions, 20 * asked.vectors, atol=1e-5)
    record = explain(model, mixed, tmp_path / "dark", painter, label="dark")
    assert set(labels_of(record).values()) == {"dark"}
    with pytest.raises(InputError, match="one of the 2 classes"):
        explain(model, mixed, tmp_path / "more", painter, label="zebra")


def test_own_classes_come_before_text_and_text_before_nothing(trained, words, mixed, painter, tmp_path):
    trained.text = words()
    record = explain(ColourExplainer(trained), mixed, tmp_path / "own", painter, label="light")
    assert (record.classes_from, record.num_classes) == ("model", 2)
    record = explain(ColourExplainer(trained), mixed, tmp_path / "text", painter, label="red")
    assert (record.classes_from, record.num_classes) == ("labels", 1)


@pytest.mark.parametrize("method", [None, "rollout"])
def test_without_a_class_the_model_is_asked_what_it_looks_at(encoder, trained, mixed, painter, tmp_path, method):
    model = ColourExplainer(trained if method else encoder)
    record = explain(model, mixed, tmp_path / "maps", painter, method=method)
    assert model.directions is None
    assert (record.classes_from, record.num_classes) == (None, 0)
    assert set(labels_of(record).values()) == {None}
    assert painter.titles == ["what the model looks at"] * 2


def test_one_picture_goes_into_one_file(reading, paint, folder, painter, tmp_path):
    paint("one/a.png", (250, 20, 30))
    source = folder(tmp_path / "one")
    record = explain(ColourExplainer(reading), source, tmp_path / "a.png", painter, label="red")
    assert record.out == record.explanations[0].out == tmp_path / "a.png"
    with Image.open(tmp_path / "a.png") as written:
        assert written.size == (20, 16)
    explain(ColourExplainer(reading), source, tmp_path / "maps.v2", painter, label="red")
    assert [path.name for path in (tmp_path / "maps.v2").iterdir()] == ["a.png"]


def test_what_speaks_for_nothing_is_told(reading, paint, folder, painter, tmp_path):
    paint("one/a.png", (250, 0, 0))
    model = ColourExplainer(reading)
    explain(model, folder(tmp_path / "one"), tmp_path / "a.png", painter, label="blue", labels=("red", "blue"))
    assert "nothing speaks for it" in painter.notes[0]


def test_broken_pictures_are_told_and_not_asked_about(reading, folder, colours, painter, tmp_path):
    (colours / "red" / "03.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    model = ColourExplainer(reading)
    record = explain(model, folder(colours), tmp_path / "maps", painter, labels=("red", "blue"))
    assert list(record.skipped) == ["red/03.png"]
    assert "red/03.png" not in model.keys
    assert model.directions is not None
    assert len(record.explanations) == len(model.directions) == 23


def test_no_two_keys_share_a_file_and_none_leaves_the_folder(tmp_path):
    keys = ("a.png", "a", "../a.png", "/a.png", "deep/a.jpg")
    places = write_drawings(tmp_path / "maps", keys, lambda key: np.zeros((4, 4, 3), np.uint8))
    assert tuple(places) == keys
    assert len({path.resolve() for path in places.values()}) == 5
    assert all(path.is_file() and tmp_path / "maps" in path.resolve().parents for path in places.values())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"labels": ("red", "blue"), "examples": "same"}, "leave one out"),
        ({"templates": ("a {}",)}, "labels for the templates"),
        ({"shots": 3}, "examples to draw shots from"),
        ({"learner": CentroidLearner(0.07)}, "examples to learn from"),
        ({"by": "pca", "learner": CentroidLearner(0.07)}, "a way to show patches alone"),
        ({"label": "red", "method": "rollout"}, "tells classes apart"),
        ({"labels": ("red", "blue"), "method": "rollout"}, "tells classes apart"),
    ],
)
def test_options_that_do_not_go_together(reading, mixed, painter, tmp_path, options, told):
    options = {name: mixed if value == "same" else value for name, value in options.items()}
    with pytest.raises(InputError, match=told):
        explain(ColourExplainer(reading), mixed, tmp_path / "maps", painter, **options)
    assert not (tmp_path / "maps").exists()
    assert not reading.seen


def test_places_that_do_not_fit(reading, mixed, painter, tmp_path):
    model = ColourExplainer(reading)
    with pytest.raises(InputError, match="a new folder for 2 pictures"):
        explain(model, mixed, tmp_path / "a.png", painter, label="red")
    with pytest.raises(InputError, match="ending in .png"):
        explain(model, mixed, tmp_path / "a.jpg", painter, label="red")
    with pytest.raises(InputError, match="not empty"):
        explain(model, mixed, tmp_path / "mixed", painter, label="red")
    assert not reading.seen


def test_a_model_without_words_needs_examples(encoder, mixed, painter, tmp_path):
    with pytest.raises(InputError, match="a model that reads text"):
        explain(ColourExplainer(encoder), mixed, tmp_path / "maps", painter, label="red")
