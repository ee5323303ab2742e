"""The chapter on pretraining: figures by the names that a recipe's log has."""

from __future__ import annotations

import pytest

from chiasm.core.registry import Registry
from chiasm.surfaces.tour import pretrain

ENGINE = {"step": 1, "seconds": 0.5, "lr": 0.1, "weight_decay": 0.0, "grad_norm": 1.0, "spread": 0.9}
SPEED = {"images_per_second": 9.0, "waiting_for_data": 0.1}


@pytest.mark.parametrize(
    ("terms", "name", "others"),
    [
        ([{"nt_xent": 5.0, "match": 0.1}, {"nt_xent": 4.0, "match": 4.0}], "nt_xent", ["match"]),
        ([{"dino": 3.0, "ibot": 2.0}, {"dino": 4.0, "ibot": 0.0}], "loss", ["dino", "ibot"]),
        ([{}, {}], "loss", []),
    ],
)
def test_a_loss_is_named_by_its_only_term(terms, name, others):
    losses = [5.0, 4.0]
    steps = [{**ENGINE, "loss": loss, **own, **SPEED} for loss, own in zip(losses, terms, strict=True)]
    assert pretrain._terms(steps) == (name, others)
    assert len(pretrain._details(steps, others)) == bool(others)


@pytest.mark.parametrize("recipe", Registry("chiasm.recipes", "recipe").names())
def test_every_recipe_is_told_in_its_own_words(recipe, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(f'{{"event": "start", "step": 0, "recipe": "{recipe}"}}\n{{"event": "start", "step": 9}}\n')
    assert pretrain._summary(log).endswith(".")
