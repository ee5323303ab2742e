"""Classify after a few examples: answers, what counts as right, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.tasks.classify import Classified, classify


class MeanLearner:
    """Softmax of the negative distance to class means; remembers what it learnt from."""

    def __init__(self) -> None:
        self.labels: list[int] = []

    def fit(self, vectors, labels, num_classes: int):
        self.labels = labels.tolist()
        means = np.stack([vectors[labels == label].mean(axis=0) for label in range(num_classes)])

        class Means:
            def probabilities(self, vectors):
                distances = ((vectors[:, None] - means[None]) ** 2).sum(axis=2)
                shares = np.exp(-5 * distances)
                return shares / shares.sum(axis=1, keepdims=True)

            def gradients(self, vectors, classes):
                shares = self.probabilities(vectors)
                shares[np.arange(len(shares)), classes] = 0
                return 10 * (means[classes] - shares / shares.sum(axis=1, keepdims=True) @ means)

        return Means()


@pytest.fixture
def learner() -> MeanLearner:
    return MeanLearner()


def value(record: Classified) -> float | None:
    return None if record.accuracy is None else record.accuracy.value


@pytest.fixture
def unknown(paint, tmp_path):
    """Pictures without classes."""
    paint("mixed/a.png", (255, 0, 0))
    paint("mixed/b.png", (0, 0, 255))
    return tmp_path / "mixed"


def test_answers_without_known_truth(encoder, folder, colours, unknown, learner) -> None:
    record = classify(encoder, folder(unknown), examples=folder(colours), learner=learner)
    assert [(answer.key, answer.label, answer.runner_up) for answer in record.predictions] == [
        ("a.png", "red", "blue"),
        ("b.png", "blue", "red"),
    ]
    for answer in record.predictions:
        assert answer.probability > 0.5
        assert answer.runner_up_probability == pytest.approx(1 - answer.probability, abs=1e-6)
        assert answer.truth is None
    assert (record.accuracy, record.num_scored) == (None, 0)
    assert record.num_predicted == {"blue": 1, "red": 1}
    assert record.num_examples == {"blue": 12, "red": 12}
    assert json.loads(record.model_dump_json())["predictions"][0]["label"] == "red"


def test_accuracy_goes_by_names_when_a_class_is_missing(encoder, folder, colours, paint, tmp_path, learner) -> None:
    # "red" is class 1 of the examples and class 0 of the data.
    paint("test/red/a.png", (250, 0, 0))
    paint("test/red/b.png", (0, 0, 250))
    record = classify(encoder, folder(tmp_path / "test"), examples=folder(colours), learner=learner)
    assert record.accuracy == Estimate(value=0.5, low=0, high=1)
    assert record.num_scored == 2
    assert [answer.truth for answer in record.predictions] == ["red", "red"]


def test_other_classes_give_no_accuracy(encoder, folder, colours, paint, tmp_path, learner) -> None:
    paint("test/red/a.png", (250, 0, 0))
    paint("test/yak/b.png", (0, 0, 250))
    record = classify(encoder, folder(tmp_path / "test"), examples=folder(colours), learner=learner)
    assert (record.accuracy, record.num_scored) == (None, 0)


def test_shots_are_drawn_per_class_by_seed(encoder, folder, colours, unknown, learner) -> None:
    classify(encoder, folder(unknown), examples=folder(colours), learner=learner, shots=3, seed=1)
    assert learner.labels == [0, 0, 0, 1, 1, 1]
    first = encoder.seen[:6]
    # Only what is used is embedded.
    assert len(encoder.seen) == 8
    encoder.seen.clear()
    classify(encoder, folder(unknown), examples=folder(colours), learner=learner, shots=3, seed=1)
    assert encoder.seen[:6] == first
    encoder.seen.clear()
    classify(encoder, folder(unknown), examples=folder(colours), learner=learner, shots=3, seed=2)
    assert encoder.seen[:6] != first


def test_more_shots_than_pictures_uses_all(encoder, folder, colours, unknown, learner) -> None:
    (colours / "red" / "00.png").unlink()
    record = classify(encoder, folder(unknown), examples=folder(colours), learner=learner, shots=12)
    assert record.num_examples == {"blue": 12, "red": 11}


def test_what_was_learnt_from_is_not_counted_as_recognised(encoder, folder, colours, learner) -> None:
    record = classify(encoder, folder(colours), examples=folder(colours), learner=learner, shots=5)
    assert (record.num_scored, len(record.predictions)) == (14, 24)
    everything = classify(encoder, folder(colours), examples=folder(colours), learner=learner)
    assert (everything.accuracy, everything.num_scored) == (None, 0)


def test_what_was_learnt_from_is_known_by_content_whatever_it_is_called(
    encoder, folder, colours, paint, learner, tmp_path
) -> None:
    renamed = folder(colours)
    renamed.name = "the same folder, called otherwise"
    record = classify(encoder, renamed, examples=folder(colours), learner=learner)
    assert (record.accuracy, record.num_scored) == (None, 0)
    shutil.copytree(colours, tmp_path / "copies")
    (tmp_path / "copies/red/00.png").rename(tmp_path / "copies/red/moved.png")
    # Another picture of a name that was learnt from is a new one.
    paint("copies/blue/00.png", (9, 9, 250))
    record = classify(encoder, folder(tmp_path / "copies"), examples=folder(colours), learner=learner)
    assert (value(record), record.num_scored) == (1, 1)


def test_contents_are_compared_only_where_accuracy_is_known(
    encoder, folder, colours, unknown, learner, monkeypatch
) -> None:
    looked: list[str] = []
    digest = folder.digest

    def counted(self, index: int) -> str:
        looked.append(self.key(index))
        return digest(self, index)

    monkeypatch.setattr(folder, "digest", counted)
    classify(encoder, folder(unknown), examples=folder(colours), learner=learner, shots=2)
    assert not looked
    classify(encoder, folder(colours), examples=folder(colours), learner=learner, shots=2)
    assert len(looked) == 4 + 24
    assert len(encoder.seen) == 4 + 2 + 4 + 24


def test_unlabelled_pictures_among_the_examples_are_left_out(encoder, folder, colours, paint, unknown, learner) -> None:
    paint("photos/loose.png", (9, 9, 9))
    classify(encoder, folder(unknown), examples=folder(colours), learner=learner)
    assert sorted(learner.labels) == [0] * 12 + [1] * 12


def test_a_single_class_has_no_runner_up(encoder, folder, colours, unknown, learner) -> None:
    shutil.rmtree(colours / "blue")
    record = classify(encoder, folder(unknown), examples=folder(colours), learner=learner)
    assert [(answer.label, answer.runner_up) for answer in record.predictions] == [("red", None)] * 2


def test_predictions_to_a_table(encoder, folder, colours, unknown, learner, tmp_path) -> None:
    record = classify(encoder, folder(unknown), examples=folder(colours), learner=learner, out=tmp_path / "answers.csv")
    assert record.predictions == ()
    with (tmp_path / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["key"], row["label"]) for row in rows] == [("a.png", "red"), ("b.png", "blue")]
    assert float(rows[0]["probability"]) > 0.5


def test_skipped_pictures_are_reported(encoder, folder, colours, unknown, learner) -> None:
    (colours / "red" / "bad.png").write_bytes(b"no picture")
    assert list(classify(encoder, folder(unknown), examples=folder(colours), learner=learner).skipped) == [
        "red/bad.png"
    ]


def test_bad_input_is_told_in_one_line(encoder, folder, colours, unknown, learner, tmp_path) -> None:
    labelled, plain = folder(colours), folder(unknown)
    with pytest.raises(InputError, match="examples with classes.*own folder"):
        classify(encoder, labelled, examples=plain, learner=learner)
    with pytest.raises(InputError, match="at least one shot"):
        classify(encoder, plain, examples=labelled, learner=learner, shots=0)
    with pytest.raises(InputError, match="at least one bootstrap draw"):
        classify(encoder, plain, examples=labelled, learner=learner, bootstrap=0)
    with pytest.raises(InputError, match=r"ending in \.csv or \.parquet"):
        classify(encoder, plain, examples=labelled, learner=learner, out=tmp_path / "answers.txt")
    (colours / "yak").mkdir()
    with pytest.raises(InputError, match="an example of each class .* but 'yak' has none"):
        classify(encoder, plain, examples=folder(colours), learner=learner)
    assert encoder.seen == []


def test_a_class_whose_pictures_are_all_broken_is_named(encoder, folder, colours, unknown, learner) -> None:
    (colours / "yak").mkdir()
    (colours / "yak" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="a readable example of each class .* but 'yak' has none"):
        classify(encoder, folder(unknown), examples=folder(colours), learner=learner)
