"""Recipes of DINO and DINOv2: what is fitted, what a start brings along, the phase on larger pictures."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from drawn import draw_pictures

from chiasm.core.errors import InputError
from chiasm.core.tensors import read_tensors
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.heads import pool, prototypes
from chiasm.layers.hiding import Replaced
from chiasm.models import load_picture_model
from chiasm.objectives import dino as dino_method
from chiasm.objectives import dinov2 as method
from chiasm.objectives._crops import Crops
from chiasm.recipes._start import Start, goes_on_from
from chiasm.recipes.dino import dino
from chiasm.recipes.dinov2 import dinov2
from chiasm.trunks import convnext, vit

TINY = vit.Config(image_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2, hiding=Replaced())
HEAD = prototypes.Config(num_prototypes=12, hidden_dim=16, bottleneck_dim=8)
CROPS = Crops(num_local=1)
OBJECTIVE = method.Config(head=HEAD, patch_head=HEAD, crops=CROPS)
ENGINE = Settings(batch_size=4, num_probes=0, precision="fp32", accelerator="cpu", lr=1e-2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_source(str(draw_pictures(tmp_path_factory.mktemp("pictures"), 5)))


@pytest.fixture(scope="module")
def old(tmp_path_factory, data):
    """A short run of DINOv2."""
    folder = tmp_path_factory.mktemp("runs") / "old"
    dinov2(data, folder, trunk=TINY, objective=OBJECTIVE, engine=ENGINE, steps=2)
    return folder


def weights(folder):
    return {
        name.removeprefix("objective."): value
        for name, value in read_tensors(folder / "checkpoint.safetensors").items()
        if name.startswith("objective.")
    }


def settings_of(folder):
    return json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])


def test_the_kept_trunk_is_the_teachers(old):
    kept = load_picture_model(str(old)).encoder.trunk.state_dict()
    stored = weights(old)
    assert all(torch.equal(value, stored[f"teacher_trunk.{name}"]) for name, value in kept.items())
    assert not torch.equal(stored["trunk.blocks.0.mlp_norm.weight"], stored["teacher_trunk.blocks.0.mlp_norm.weight"])


def test_settings_follow_the_number_of_pictures(tmp_path, data):
    crops = dino_method.Config(crops=CROPS, head=prototypes.Config(hidden_dim=8, bottleneck_dim=4))
    dino(data, tmp_path / "run", trunk=TINY, objective=crops, engine=ENGINE, steps=1)
    words = settings_of(tmp_path / "run")["objective"]
    assert "head.num_prototypes=1024" in words
    assert "teacher_temperature=0.01" in words
    assert "momentum=0.95" in words
    assert "targets.kind=sinkhorn" in words


def test_a_new_trunk_gets_what_the_method_needs(tmp_path, data):
    small = vit.Config(image_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2)
    dinov2(data, tmp_path / "run", trunk=small, objective=OBJECTIVE, engine=ENGINE, steps=1)
    words = settings_of(tmp_path / "run")["trunk"]
    assert "hiding.kind=mask_token" in words
    assert "layer_scale" in words
    unfit = convnext.Config(image_size=32, embed_dims=(4, 8), depths=(1, 1))
    with pytest.raises(InputError, match="--trunk.hiding.kind mask_token"):
        dinov2(data, tmp_path / "none", trunk=unfit, objective=OBJECTIVE, engine=ENGINE, steps=1)
    assert not (tmp_path / "none").exists()


def test_a_run_brings_its_heads_and_teacher_along(old):
    start = Start(str(old))
    assert goes_on_from(str(old), "dinov2")
    assert not goes_on_from(str(old), "dino")
    torch.manual_seed(5)
    trunk = start.settings(vit.Config()).build()
    start.fill(trunk)
    objective = OBJECTIVE.build(trunk)
    start.bring(objective, "dinov2")
    stored = weights(old)
    assert set(stored) == set(objective.state_dict())
    assert all(torch.equal(value, stored[name]) for name, value in objective.state_dict().items())


def test_another_method_takes_the_trunk_alone(old):
    start = Start(str(old))
    torch.manual_seed(5)
    trunk = start.settings(vit.Config()).build()
    start.fill(trunk)
    objective = OBJECTIVE.build(trunk)
    head = objective.head.prototypes.directions.clone()
    start.bring(objective, "another")
    stored = weights(old)
    assert torch.equal(objective.head.prototypes.directions, head)
    assert torch.equal(objective.trunk.state_dict()["hiding.mask_token"], stored["teacher_trunk.hiding.mask_token"])
    assert not goes_on_from(str(old / "model.safetensors"), "dinov2")


def test_positions_are_resampled_for_larger_pictures(old):
    start = Start(str(old))
    trunk = start.settings(vit.Config(image_size=24)).build()
    start.fill(trunk)
    objective = OBJECTIVE.build(trunk)
    start.bring(objective, "dinov2")
    stored, state = weights(old), objective.state_dict()
    for name in ("trunk", "teacher_trunk"):
        table = stored[f"{name}.positions.table"].reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
        wider = torch.nn.functional.interpolate(table, (6, 6), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 36, 16)
        torch.testing.assert_close(state[f"{name}.positions.table"], wider)
    rest = [name for name in stored if not name.endswith("positions.table")]
    assert all(torch.equal(state[name], stored[name]) for name in rest)


def test_heads_that_do_not_fit_are_told(old):
    start = Start(str(old))
    trunk = start.settings(vit.Config()).build()
    start.fill(trunk)
    other = OBJECTIVE.model_copy(update={"head": prototypes.Config(num_prototypes=13, hidden_dim=16, bottleneck_dim=8)})
    with pytest.raises(
        InputError, match=r"prototypes.directions does not fit; give .* or start from .*model.safetensors"
    ):
        start.bring(other.build(trunk), "dinov2")


def test_a_trunk_of_another_method_waits_for_the_new_heads(tmp_path, data, old):
    run = tmp_path / "dino"
    dino(
        data,
        run,
        objective=dino_method.Config(crops=CROPS, head=HEAD),
        engine=ENGINE,
        steps=1,
        start_from=str(old),
    )
    further = tmp_path / "further"
    dinov2(data, further, objective=OBJECTIVE, engine=ENGINE, steps=3, start_from=str(run))
    assert "trunk_waits=0.1" in settings_of(further)["objective"]
    own = tmp_path / "own"
    dinov2(data, own, objective=OBJECTIVE, engine=ENGINE, steps=2, start_from=str(old))
    assert "trunk_waits" not in settings_of(own)["objective"]
    long = OBJECTIVE.model_copy(update={"trunk_waits": 0.9})
    dinov2(data, tmp_path / "waits", objective=long, engine=ENGINE, steps=2, start_from=str(run))
    before, after = (
        load_picture_model(str(run)).encoder.trunk,
        load_picture_model(str(tmp_path / "waits")).encoder.trunk,
    )
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())
    moved = load_picture_model(str(further)).encoder.trunk.state_dict()
    assert any(not torch.equal(value, moved[name]) for name, value in before.state_dict().items())


def two_phases(data, out, **more):
    settings: dict[str, Any] = {"trunk": TINY, "objective": OBJECTIVE, "engine": ENGINE, "steps": 5}
    settings |= {"final_size": 24, "final_share": 0.4, **more}
    return dinov2(data, out, **settings)


class Stop:
    """Stops a run from outside at a step, once the run is on pictures of a size."""

    def __init__(self, step, size):
        self.step, self.size, self.on = step, size, False

    def started(self, first_step, facts):
        self.on = f"image_size={self.size}" in facts["trunk"]

    def stepped(self, event):
        if self.on and event.step == self.step:
            raise KeyboardInterrupt

    def probed(self, event):
        pass

    def warned(self, step, words):
        pass

    def finished(self):
        pass


def test_the_last_phase_is_on_larger_pictures_and_can_be_resumed_in_either(tmp_path, data):
    report = two_phases(data, tmp_path / "whole")
    assert (report.steps, report.model) == (5, str(tmp_path / "whole"))
    kept = load_picture_model(report.model).encoder
    assert kept.trunk.image_size == 24
    assert settings_of(tmp_path / "whole-before")["length"] == "3 steps"
    assert settings_of(tmp_path / "whole")["length"] == "2 steps"

    often = ENGINE.model_copy(update={"checkpoint_minutes": 1e-9, "log_every": 1})
    broken = tmp_path / "broken"
    for size, step in ((16, 2), (24, 2)):
        with pytest.raises(KeyboardInterrupt):
            two_phases(data, broken, engine=often, resume=size == 24, listeners=[Stop(step, size)])
        assert (broken / "checkpoint.safetensors").exists() == (size == 24)
    two_phases(data, broken, engine=often, resume=True, steps=None)
    ours, theirs = weights(broken), weights(tmp_path / "whole")
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize(("share", "steps"), [(0.1, 25), (0.5, 3), (0.9, 2)])
def test_both_phases_take_the_steps_that_were_asked_for(tmp_path, data, share, steps):
    report = two_phases(data, tmp_path / "run", final_share=share, steps=steps)
    assert report.steps == steps


def test_a_longer_run_lengthens_the_last_phase(tmp_path, data):
    two_phases(data, tmp_path / "run")
    before = weights(tmp_path / "run-before")
    assert two_phases(data, tmp_path / "run", steps=7, resume=True).steps == 7
    assert settings_of(tmp_path / "run-before")["length"] == "3 steps"
    assert all(torch.equal(value, before[name]) for name, value in weights(tmp_path / "run-before").items())
    with pytest.raises(InputError, match="more --steps than the 3 of the first phase, but 3 came"):
        two_phases(data, tmp_path / "run", steps=3, resume=True)
    with pytest.raises(InputError, match="at least 2 --steps"):
        two_phases(data, tmp_path / "new", steps=1)


def test_a_last_phase_without_room_or_a_fitting_size_is_told_at_once(tmp_path, data):
    with pytest.raises(InputError, match="between 0 and 1"):
        two_phases(data, tmp_path / "run", final_share=1.0)
    with pytest.raises(InputError, match="multiple of patch_size"):
        two_phases(data, tmp_path / "run", final_size=25)
    with pytest.raises(InputError, match="above the 16 px"):
        two_phases(data, tmp_path / "run", final_size=16)
    with pytest.raises(InputError, match="at least 2"):
        two_phases(data, tmp_path / "run", steps=1, dry_run=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        two_phases(data, tmp_path / "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_an_estimate_is_of_both_phases(tmp_path, data):
    report = two_phases(data, tmp_path / "run", steps=10, dry_run=True)
    assert report.steps == 10
    (note,) = report.notes
    assert "are for 4 steps of dinov2 on pictures of 24 px" in note
    assert report.minutes > float(note.split()[0]) > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", [dino, dinov2])
def test_a_pool_that_learns_is_the_teachers(tmp_path, data, recipe):
    settings = {"head": HEAD, "crops": CROPS, "pool": pool.Config(by=pool.ByAttention(num_heads=2))}
    objective = (OBJECTIVE if recipe is dinov2 else dino_method.Config()).model_copy(update=settings)
    watched = ENGINE.model_copy(update={"num_probes": 1})
    recipe(data, tmp_path / "run", trunk=TINY, objective=objective, engine=watched, steps=2)
    kept, stored = load_picture_model(str(tmp_path / "run")).encoder.pool.state_dict(), weights(tmp_path / "run")
    assert kept
    assert all(torch.equal(value, stored[f"teacher_pool.{name}"]) for name, value in kept.items())
