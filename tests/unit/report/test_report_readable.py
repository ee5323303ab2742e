"""Names on a page of results: what tells them apart, and nothing that all share."""

from __future__ import annotations

import pytest

from chiasm.core.estimates import Estimate
from chiasm.evaluate import Evaluation
from chiasm.evaluate._answer import Missing
from chiasm.evaluate.compare import Contest
from chiasm.report._readable import readable, short

WORLD = "world:compositional?size=64"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["runs/lit", "runs/scratch"], ["lit", "scratch"]),
        (["starter-first", "starter"], ["starter-first", "starter"]),
        (["/data/factory/north/test", "/data/clinic/test"], ["factory/north", "clinic"]),
        (["/data/x/test", "/data/x"], ["test", "x"]),
        (["a.csv?split=test", "b.csv?split=test"], ["a.csv", "b.csv"]),
        (["a.csv?split=test", "a.csv?split=val"], ["split=test", "split=val"]),
        ([f"{WORLD}&close_up=1&length=9", f"{WORLD}&length=9"], ["close_up=1", "world:compositional"]),
    ],
)
def test_what_all_share_is_left_out(names, labels) -> None:
    assert list(short(names).items()) == list(zip(names, labels, strict=True))


def test_one_name_alone_stays() -> None:
    assert short([WORLD, WORLD]) == {WORLD: WORLD}


def test_names_stay_where_labels_were_the_same() -> None:
    names = ["a/b/c", "b/a/c"]
    assert short(names) == dict(zip(names, names, strict=True))


def contest(data: str, model: str) -> Contest:
    some = Estimate(value=0.5, low=0.4, high=0.6)
    return Contest(
        model=model,
        fingerprint="f",
        data=data,
        skipped={},
        baseline="runs/base",
        by="knn",
        accuracy=some,
        baseline_accuracy=some,
        difference=some,
        num_only_model=1,
        num_only_baseline=1,
        p_value=1.0,
        better="runs/base",
        num_test=2,
        per_class={},
    )


def test_models_on_the_same_data_stand_together() -> None:
    results = tuple(contest(data, model) for model in ("runs/one", "runs/two") for data in ("p/north", "p/south"))
    missing = (Missing(model="runs/blind", data="p/north", reason="it reads no texts"),)
    shown, names = readable(Evaluation[Contest](evaluation="compare", results=results, missing=missing))
    assert [(one.data, one.model) for one in shown.results] == [
        (data, model) for data in ("north", "south") for model in ("one", "two")
    ]
    assert (shown.missing[0].model, shown.missing[0].data, shown.missing[0].reason) == (
        "blind",
        "north",
        "it reads no texts",
    )
    assert {(one.baseline, one.better) for one in shown.results} == {("base", "base")}
    shortened = {"north": "p/north", "south": "p/south"}
    shortened |= {name: f"runs/{name}" for name in ("one", "two", "blind", "base")}
    assert dict(names) == shortened
