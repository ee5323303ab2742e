"""Signatures to words: parts are opened, records are shown."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import pytest
from drawn import draw_pictures
from pydantic import ValidationError
from rich.console import Console

from chiasm.adapt.centroid import CentroidLearner
from chiasm.adapt.logistic import LogisticLearner
from chiasm.core.errors import InputError, UnknownNameError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Judged, Source, Splits
from chiasm.core.explaining import HeatPainter
from chiasm.core.predictors import Encoder, Learner, Record
from chiasm.core.tables import Table
from chiasm.data.prompts import ClassNames, Templates
from chiasm.data.vector_store import VectorStore
from chiasm.engine.events import Listener, ProbeEvent, StepEvent
from chiasm.engine.settings import Settings
from chiasm.evaluate.captions import captions
from chiasm.evaluate.vqa import vqa
from chiasm.surfaces.binding import OPENERS, bind, takes
from chiasm.surfaces.progress import LiveProgress
from chiasm.surfaces.show import SHOWN_ROWS, show


def a_task(
    data: Source, learner: Learner, out: Path, *, probe: Splits | None = None, listeners: Sequence[Listener] = ()
) -> tuple:
    """Return what came."""
    return data, learner, out, probe, listeners


class Shared(TypedDict, total=False):
    """What several tasks take.

    Attributes:
        steps: how many,
            at most.
        probe: what watches.
        listeners: who hears.
    """

    steps: int
    probe: Splits | None
    listeners: Sequence[Listener]


def a_shared_task(out: Path, *, engine: Settings = Settings(), **shared: Unpack[Shared]) -> tuple:  # noqa: B008
    """Return what came.

    Args:
        out: a folder.
        shared: the options of every task.
    """
    return out, engine, shared


def test_shared_options_are_spread_told_and_passed_on_where_given(tmp_path):
    bound = bind(a_shared_task, {Sequence[Listener]: ("a listener",)})
    assert list(inspect.signature(bound).parameters) == ["out", "steps", "probe", "engine"]
    assert bound.__doc__
    assert "    out: a folder.\n    steps: how many,\n        at most.\n    probe: what watches." in bound.__doc__
    assert "options of every task" not in bound.__doc__
    assert inspect.signature(bound).parameters["steps"].annotation == int | None
    assert takes(a_shared_task, Sequence[Listener])
    assert not takes(a_shared_task, Source)
    assert bound(tmp_path) == (tmp_path, Settings(), {"listeners": ("a listener",)})
    folder = draw_pictures(tmp_path / "pictures", 5)
    _, _, shared = bound(tmp_path, steps=3, probe=str(folder))
    assert shared["steps"] == 3
    assert isinstance(shared["probe"], Splits)


def test_parts_become_words_and_are_opened(tmp_path):
    folder = draw_pictures(tmp_path / "pictures", 5)
    given = ("a listener",)
    bound = bind(a_task, {Sequence[Listener]: given})
    parameters = inspect.signature(bound).parameters
    assert list(parameters) == ["data", "out", "learner", "probe"]
    assert parameters["data"].annotation is str
    assert parameters["learner"].default == "logistic"
    assert parameters["probe"].annotation == str | None
    assert parameters["out"].annotation is Path
    assert bound.__doc__ == a_task.__doc__
    data, learner, out, probe, listeners = bound(str(folder), tmp_path, "centroid", probe=str(folder))
    assert isinstance(data, Source)
    assert isinstance(learner, Learner)
    assert isinstance(probe, Splits)
    assert (out, listeners) == (tmp_path, given)
    assert bound(str(folder), tmp_path)[3] is None
    with pytest.raises(UnknownNameError, match="did you mean 'centroid'"):
        bound(str(folder), tmp_path, "centriod")


def a_task_of_examples(
    data: Source, examples: Source | None = None, learner: Learner | None = None
) -> tuple[Source | None, Learner | None]:
    """Return what came."""
    del data
    return examples, learner


def test_a_learner_goes_without_saying_only_where_there_are_examples(tmp_path):
    folder = str(draw_pictures(tmp_path / "pictures", 5))
    bound = bind(a_task_of_examples, {})
    assert inspect.signature(bound).parameters["learner"].default is None
    assert inspect.signature(bound).parameters["learner"].annotation == str | None
    assert bound(folder) == (None, None)
    assert isinstance(bound(folder, folder)[1], LogisticLearner)
    assert isinstance(bound(folder, folder, "centroid")[1], CentroidLearner)
    # Who names one without examples is heard, so that it can be refused.
    assert isinstance(bound(folder, learner="centroid")[1], CentroidLearner)


def test_settings_of_a_learner_stand_behind_its_name(tmp_path):
    folder = draw_pictures(tmp_path / "pictures", 5)
    bound = bind(a_task, {Sequence[Listener]: ()})
    _, learner, *_ = bound(str(folder), tmp_path, "centroid?temperature=0.5")
    assert learner.temperature == 0.5
    with pytest.raises(InputError, match="only known keys in the learner centroid, but 'temprature' is not one"):
        bound(str(folder), tmp_path, "centroid?temprature=0.5")
    with pytest.raises(InputError, match="settings as name=value, but 'temperature' came"):
        bound(str(folder), tmp_path, "centroid?temperature")


@pytest.mark.parametrize("given", ["inverse_penalties=1,10", "inverse_penalties=1&max_folds=3&inverse_penalties=10"])
def test_a_list_stands_between_commas_or_behind_its_name_again(tmp_path, given):
    folder = draw_pictures(tmp_path / "pictures", 5)
    bound = bind(a_task, {Sequence[Listener]: ()})
    assert bound(str(folder), tmp_path, f"logistic?{given}")[1].config.inverse_penalties == (1, 10)


@pytest.mark.parametrize("given", ["logistic?inverse_penalties=1,0", "tip-adapter?alphas=-1", "tip-adapter?betas=1,"])
def test_what_cannot_be_in_a_list_of_settings_is_told(given):
    with pytest.raises(InputError, match=r"a valid '(inverse_penalties.1|alphas.0|betas.1)' in the learner"):
        OPENERS[Learner].open(given)


def test_what_neither_captions_nor_answers_is_told(tmp_path):
    bound = bind(captions, {})
    folder = draw_pictures(tmp_path / "pictures", 5)
    with pytest.raises(InputError, match="a model that writes about pictures, but raw-pixels is none"):
        bound(["raw-pixels"], data=[str(folder)])
    with pytest.raises(InputError, match="a model that writes about pictures, but raw-pixels is none"):
        bind(vqa, {})(["raw-pixels"], data=[str(folder)])


def a_judging_task(
    models: Sequence[Encoder],
    *,
    data: Sequence[Judged],
    shots: Sequence[int] = (1, 5),
    cache: VectorStore | None = None,
) -> tuple:
    """Return what came."""
    return models, data, shots, cache


def test_several_words_become_several_parts(tmp_path, monkeypatch):
    monkeypatch.setenv("CHIASM_CACHE", str(tmp_path / "usual"))
    folder = draw_pictures(tmp_path / "pictures", 5)
    bound = bind(a_judging_task, {})
    parameters = inspect.signature(bound).parameters
    assert parameters["models"].annotation == parameters["data"].annotation == Sequence[str]
    assert parameters["shots"].annotation == Sequence[int]
    assert (parameters["cache"].annotation, parameters["cache"].default) == (str | None, "auto")
    models, data, shots, cache = bound(["raw-pixels", "raw-pixels"], data=[str(folder)])
    assert [model.name for model in models] == ["raw pixels (16 x 16)"] * 2
    assert [len(source) for source in data] == [15]
    assert (shots, cache.folder) == ((1, 5), tmp_path / "usual")
    assert bound([], data=[], cache=None)[3] is None
    assert bound([], data=[], cache=str(tmp_path))[3].folder == tmp_path


def a_drawing_task(painter: HeatPainter, out: Path) -> HeatPainter:
    """Return what it draws with."""
    del out
    return painter


def test_parts_of_one_kind_need_no_word(tmp_path):
    bound = bind(a_drawing_task, {})
    assert list(inspect.signature(bound).parameters) == ["out"]
    assert isinstance(bound(tmp_path), HeatPainter)


class Row(Record):
    name: str
    share: float


class Answer(Record):
    title: str
    rows: tuple[Row, ...]
    best: Row
    nothing: float | None = None
    shares: dict[str, Row] = {}


def shown(as_json: bool) -> str:
    console = Console(width=100)
    rows = tuple(Row(name=f"n{number}[/b]", share=number / 3) for number in range(SHOWN_ROWS + 5))
    with console.capture() as capture:
        show(Answer(title="cat[red]", rows=rows, best=rows[1]), as_json, console)
    return capture.get()


USUAL = Settings(lr=0.02, betas=(0.8, 0.9))


def a_training_task(*, engine: Settings = USUAL) -> Settings:
    """Return what came."""
    return engine


def test_one_setting_leaves_the_others_as_the_function_has_them():
    bound = bind(a_training_task, {})
    told = inspect.signature(bound).parameters["engine"].annotation
    assert (told().lr, told().betas, told().batch_size) == (0.02, (0.8, 0.9), Settings().batch_size)
    with pytest.raises(ValidationError, match="greater than 0"):
        told(lr=0)
    assert bound() == USUAL
    for given in (told(batch_size=64), told(batch_size=64, lr=0.02)):
        came = bound(engine=given)
        assert type(came) is Settings
        assert came == Settings(lr=0.02, betas=(0.8, 0.9), batch_size=64)
    assert bound(engine=told(lr=0.5)).lr == 0.5


def test_people_see_a_cut_table_and_programs_everything():
    text = shown(as_json=False)
    assert f"first {SHOWN_ROWS} of {SHOWN_ROWS + 5}" in text
    assert "0.3333" in text
    # Names of pictures are no markup.
    assert "n0[/b]" in text
    assert "cat[red]" in text
    assert f"n{SHOWN_ROWS}" not in text
    assert len(Answer.model_validate_json(shown(as_json=True)).rows) == SHOWN_ROWS + 5


def test_names_are_shown_as_they_are_and_records_within_records_in_words():
    row = Row(name="[red]/a[/b].png", share=0.5)
    console = Console(width=100)
    with console.capture() as capture:
        show(Answer(title="[bold]x[/wrong]", rows=(row,), best=row, shares={"[k]": row}), False, console)
        show(Answer(title="t", rows=(), best=row), False, console)
    text = capture.get()
    assert "[bold]x[/wrong]" in text
    assert text.count("[red]/a[/b].png") == 4
    assert "[k] name [red]/a[/b].png, share 0.5" in text
    assert "rows     none" in text


class Sparse(Record):
    name: str
    count: int
    truth: str | None = None
    copies: tuple[str, ...] = ()
    shares: dict[str, float] = {}


class Listing(Record):
    rows: tuple[Sparse, ...]
    counts: dict[str, int] = {}


def test_columns_without_content_are_left_out_and_long_lists_are_cut():
    console = Console(width=300)
    empty = Listing(rows=(Sparse(name="a", count=0), Sparse(name="b", count=0)))
    full = Listing(rows=(Sparse(name="a", count=0), Sparse(name="b", count=0, truth="yak", copies=("c", "d"))))
    with console.capture() as capture:
        show(empty, False, console)
    assert [line.split() for line in capture.get().splitlines()][2:] == [
        ["rows"],
        ["name", "count"],
        ["a", "0"],
        ["b", "0"],
    ]
    with console.capture() as capture:
        show(full, False, console)
    assert "name  count  truth  copies" in capture.get()
    assert "c, d" in capture.get()
    counts = {f"n{number}": number for number in range(SHOWN_ROWS + 5)}
    with console.capture() as capture:
        show(Listing(rows=(), counts=counts), False, console)
    assert f"n{SHOWN_ROWS - 1} {SHOWN_ROWS - 1}, and 5 more" in capture.get()


class Measured(Record):
    def table(self) -> Table:
        """Ten figures of two models."""
        half = Estimate(value=0.5, low=0.25, high=0.75)
        names = ("model", "data", *(f"figure {number}" for number in range(10)), "why not")
        rows = (("a" * 40, "photos", *[half] * 10, None), ("b", "photos", *[None] * 10, "blind"))
        return Table(names, rows, remarks="why not")


@pytest.mark.parametrize(("width", "num_parts"), [(200, 1), (80, 2), (40, 10)])
def test_figures_without_room_stand_below_beside_the_names_again(width, num_parts):
    console = Console(width=width)
    with console.capture() as capture:
        show(Measured(), False, console)
    text = capture.get()
    assert text.count("photos") == text.count("data ") * 2 + 1
    assert text.count("data ") == num_parts
    assert text.count("0.25–0.75") == 10
    assert text.count("blind") == 1
    assert max(map(len, text.splitlines())) <= width


def ask(model: int, labels: ClassNames | None = None, templates: Templates | None = None) -> tuple:
    """Return what came."""
    return model, labels, templates


def test_names_and_templates_are_opened_where_they_are_given():
    bound = bind(ask, {})
    assert inspect.signature(bound).parameters["labels"].annotation == str | None
    assert bound(1) == (1, None, None)
    assert bound(1, "cat, dog", templates="a {}") == (1, ("cat", "dog"), ("a {}",))


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_told_on_a_terminal_and_off_it(terminal):
    console = Console(width=120, force_terminal=terminal, force_interactive=False)
    progress = LiveProgress(console)
    with console.capture() as capture:
        progress.started(0, {"device": "cpu", "data": "photos[/x][red]"})
        progress.probed(ProbeEvent(0, 0.0, {"knn_accuracy": 0.25}))
        progress.stepped(StepEvent(10, 1.0, 0.5, {"images_per_second": 321.0, "loss": 1.25}))
        progress.finished()
    text = capture.get()
    assert "cpu" in text
    assert "photos[/x][red]" in text
    assert "knn_accuracy 0.250" in text
    assert terminal or "321 images/s  loss 1.250" in text
