"""Vectors in TTI-Eval's layout: written, read, judged as if they had just been made; what is wrong is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chiasm.core.errors import InputError, UnknownNameError
from chiasm.core.example import Splits
from chiasm.data.stored_vectors import StoredVectors, vectors_path, write_vectors
from chiasm.evaluate.build import build
from chiasm.evaluate.knn import knn
from chiasm.evaluate.linear import linear
from chiasm.evaluate.stored import StoredResult, stored
from chiasm.evaluate.zeroshot import zeroshot
from chiasm.ops.vectors import unit_rows


def by_way(root: Path, **options: Any) -> dict[str, StoredResult]:
    return {one.by: one for one in stored(root, **options).results}


def save(root: Path, data: str, model: str, split: str, **arrays: np.ndarray) -> Path:
    """A file as another tool writes it."""
    path = root / "embeddings" / data / f"{model}_{split}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path


@pytest.fixture
def foreign(tmp_path) -> Path:
    """Two models on one data set, vectors not of length 1, labels of 32 bits."""
    generator = np.random.default_rng(0)
    for model, noise in (("good", 0.2), ("bad_model", 3.0)):
        for split, number in (("train", 30), ("validation", 21)):
            labels = np.arange(number) % 3
            pictures = 7 * np.eye(4)[labels] + noise * 7 * generator.normal(size=(number, 4))
            arrays = {
                "image_embeddings": pictures,
                "class_embeddings": 5 * np.eye(4)[:3],
                "labels": labels.astype("i4"),
            }
            save(tmp_path, "plants", model, split, **arrays)
    return tmp_path


def test_what_was_built_is_judged_the_same(reading, splits, tmp_path) -> None:

    class Unit(reading):
        def embed(self, source):
            found = super().embed(source)
            return replace(found, vectors=unit_rows(found.vectors)[0])

    model = Unit("my/model v1", 0.3)
    (built,) = build([model], data=[splits], out=tmp_path).results
    assert [path.name for path in built.files] == ["my-model-v1_train.npz", "my-model-v1_validation.npz"]
    assert (built.num_train, built.num_validation, built.classes) == (36, 24, ("r", "g", "b"))
    found = by_way(tmp_path, logit_scale=5.0)
    pairs = {
        "knn": knn([model], data=[splits]).results[0],
        "linear": linear([model], data=[splits]).results[0],
        "zeroshot": zeroshot([model], data=[splits.test]).results[0],
    }
    for way, expected in pairs.items():
        assert found[way].scores.accuracy == expected.scores.accuracy
        assert found[way].scores.calibration_error == pytest.approx(expected.scores.calibration_error, abs=1e-6)


def test_the_arrays_are_those_of_the_layout(reading, mean_colour, splits, tmp_path) -> None:
    build([reading(), mean_colour("blind")], data=[splits], out=tmp_path)
    with np.load(tmp_path / "embeddings" / "test" / "colour_train.npz") as file:
        assert sorted(file) == ["class_embeddings", "image_embeddings", "labels"]
        assert file["image_embeddings"].shape == (36, 3)
        assert file["class_embeddings"].shape == (3, 3)
        assert file["labels"].tolist() == [0] * 12 + [1] * 12 + [2] * 12
    found = stored(tmp_path, by=("zeroshot", "knn"))
    assert {(one.model, one.by) for one in found.results} == {
        ("colour", "zeroshot"),
        ("colour", "knn"),
        ("blind", "knn"),
    }
    assert [(one.model, one.data) for one in found.missing] == [("blind", "test by zeroshot")]


def test_folders_of_splits_and_drawn_splits_name_the_data(mean_colour, coloured, tmp_path) -> None:
    sides = Splits(coloured("photos/train", 4, 0), coloured("photos/val", 3, 1))
    drawn = Splits(coloured("a/leaves?derived=train&seed=0", 4, 0), coloured("a/leaves?derived=test&seed=0", 3, 1))
    found = build([mean_colour()], data=[sides, drawn], out=tmp_path)
    assert [one.files[0].parent.name for one in found.results] == ["photos", "leaves"]


def test_files_that_would_replace_each_other_are_refused_before_anything_is_encoded(
    mean_colour, coloured, tmp_path
) -> None:
    def split(folder: str) -> Splits:
        return Splits(coloured(f"{folder}/train", 4, 0), coloured(f"{folder}/val", 3, 1))

    data = [split("a/leaves"), split("b/leaves")]
    with pytest.raises(
        InputError, match=r"colour on a/leaves/val and colour on b/leaves/val would both write .*leaves"
    ):
        build([mean_colour()], data=data, out=tmp_path / "tti")
    with pytest.raises(InputError, match="my/model on a/leaves/val and my-model on a/leaves/val would both write"):
        build([mean_colour("my/model"), mean_colour("my-model")], data=data[:1], out=tmp_path / "tti")
    assert not (tmp_path / "tti").exists()
    for one, name in zip(data, ("a", "b"), strict=True):
        build([mean_colour()], data=[one], out=tmp_path / "tti" / name)


def test_what_another_tool_made_is_judged(foreign) -> None:
    found = stored(foreign, bootstrap=50)
    accuracy = {(one.model, one.by): one.scores.accuracy.value for one in found.results}
    assert len(accuracy) == 6
    for way in ("zeroshot", "knn", "linear"):
        assert accuracy["good", way] == 1
        assert accuracy["bad_model", way] < 0.9
    only = stored(foreign, by=("knn",), models=("good",), data=("plants",))
    assert [(one.model, one.num_train) for one in only.results] == [("good", 30)]


def test_a_split_that_is_missing_leaves_a_gap(foreign) -> None:
    (foreign / "embeddings" / "plants" / "good_train.npz").unlink()
    (foreign / "embeddings" / "plants" / "bad_model_validation.npz").unlink()
    found = stored(foreign)
    assert [(one.model, one.by) for one in found.results] == [("good", "zeroshot")]
    reasons = [one.reason for one in found.missing]
    assert sum("vectors of training pictures of plants by good" in reason for reason in reasons) == 2
    assert sum("validation or test pictures of plants by bad_model" in reason for reason in reasons) == 3


def test_a_class_without_training_pictures_keeps_its_number(tmp_path) -> None:
    unit = np.eye(3)
    for split, labels in (("train", [0, 0, 2, 2] * 3), ("validation", [0, 1, 2])):
        save(tmp_path, "d", "m", split, image_embeddings=unit[labels], class_embeddings=unit, labels=np.array(labels))
    found = by_way(tmp_path, by=("linear", "knn"))
    for one in found.values():
        assert {name: scores.recall for name, scores in one.scores.per_class.items()} == {"0": 1, "1": 0, "2": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1])}, "a vector for each label"),
        ({"labels": np.array([0, -1, 1])}, "numbers of classes from 0 up"),
        ({"labels": np.array([0, 0.5, 1])}, "numbers of classes from 0 up"),
        ({"labels": np.array([0, 1, 9])}, "classes below 2"),
        ({"class_embeddings": np.eye(2)}, "a vector for each label and class"),
        ({"image_embeddings": np.array([{}] * 3, dtype=object)}, "cannot be read"),
    ],
)
def test_arrays_that_do_not_belong_together(tmp_path, change, message) -> None:
    arrays = {"image_embeddings": np.eye(3), "class_embeddings": np.eye(3)[:2], "labels": np.array([0, 1, 1])}
    save(tmp_path, "d", "m", "validation", **{**arrays, **change})
    with pytest.raises(InputError, match=message):
        stored(tmp_path, by=("zeroshot",))


def test_nothing_there(foreign, tmp_path) -> None:
    with pytest.raises(InputError, match="there is none"):
        stored(tmp_path / "nowhere")
    with pytest.raises(UnknownNameError, match="did you mean 'good'"):
        stored(foreign, models=("goood",))
    (foreign / "embeddings" / "plants" / "good_validation.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        stored(foreign, models=("good",))
    with pytest.raises(InputError, match="logit scale above 0"):
        stored(foreign, logit_scale=0)


def test_names_that_no_file_can_have(tmp_path) -> None:
    path = vectors_path(tmp_path, "a/b c", "../x", "train")
    assert path.relative_to(tmp_path) == Path("embeddings/a-b-c/x_train.npz")
    write_vectors(path, StoredVectors(np.eye(2), np.eye(2), np.arange(2)))
    assert path.exists()
