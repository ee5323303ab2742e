"""The starter: both phases, one card, what it scores, and going on where it was stopped."""

import json

import pytest
from drawn import draw_pictures

from chiasm.core.errors import InputError
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.heads import prototypes, writer
from chiasm.objectives import dinov2, vision_language
from chiasm.objectives._contrastive import SmallText
from chiasm.recipes.starter import TRUNK, starter
from chiasm.serve.writer import open_writer

SMALL = TRUNK.model_copy(update={"embed_dim": 24, "depth": 1, "num_heads": 2, "image_size": 32, "patch_size": 8})
HEAD = prototypes.Config(hidden_dim=16, bottleneck_dim=8, num_prototypes=12, norm_last_layer=False)
PARTS = {
    "trunk": type(TRUNK).model_validate({name: getattr(SMALL, name) for name in SMALL.model_fields_set}),
    "pretraining": dinov2.Config(head=HEAD, patch_head=HEAD),
    "objective": vision_language.Config(
        text=SmallText(vocab_size=300, embed_dim=16, depth=1, num_heads=2),
        writer=writer.Config(embed_dim=16, depth=1, num_heads=2),
        embed_dim=8,
    ),
    "engine": Settings(batch_size=8, num_probes=1),
}


def train(out, **options):
    data = open_source("world:train?size=32&length=48")
    return starter(data, out, pretraining_share=0.5, **{**PARTS, **options})


def test_two_phases_one_model_one_card(tmp_path):
    judge = [open_source("world:compositional?size=32&length=6")]
    report = train(tmp_path / "run", steps=4, judge=judge)
    assert report.steps == 4
    assert (tmp_path / "run-before" / "model.safetensors").exists()
    card = (tmp_path / "run" / "card.md").read_text()
    assert "chiasm train starter --data" in card
    assert "--judge 'world:compositional?size=32&length=6'" in card
    assert "--steps 4 --seed 0" in card
    assert "**Limits**: It knows pictures like those of world:train" in card
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    asked = ("zero-shot accuracy", "text to picture R@1", "answers right", "answers right (count)")
    assert all(0 <= figures[f"{what}, {judge[0].name}"] <= 1 for what in asked)
    assert figures["loss"] == report.metrics["loss"]
    made = open_writer(str(tmp_path / "run"))
    assert made.caption(judge[0]).texts.keys() == {judge[0].key(index) for index in range(6)}


@pytest.fixture
def little(tmp_path):
    """Pictures of one class of which one has a caption."""
    draw_pictures(tmp_path / "drawn", 2)
    files = sorted((tmp_path / "drawn").rglob("*.png"))[:2]
    rows = [f"{files[0]},a drawing,thing\n", f"{files[1]},,thing\n"]
    (tmp_path / "little.csv").write_text("path,caption,label\n" + "".join(rows))
    return open_source(str(tmp_path / "little.csv"))


def test_what_cannot_be_judged_is_left_out_and_noted_after_training(tmp_path, little, monkeypatch):
    def fails(*args, **options):
        raise InputError("questions", "none came", "ask some")

    monkeypatch.setattr("chiasm.recipes._judged.vqa", fails)
    whole = open_source("world:compositional?size=32&length=6")
    report = train(tmp_path / "run", steps=4, judge=[little, whole])
    notes = (
        f"{little.name} tells nothing of classes by their names: it has one only",
        f"{little.name} tells nothing of captions: one picture only has any",
        f"{whole.name} tells nothing of answers: expected questions, but none came; ask some.",
    )
    assert report.notes == notes
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {name.rpartition(", ")[2] for name in figures if ", " in name} == {whole.name}
    assert f"text to picture R@1, {whole.name}" in figures
    card = (tmp_path / "run" / "card.md").read_text()
    assert all(note in card for note in notes)
    told = train(tmp_path / "dry", steps=4, judge=[little, whole], dry_run=True)
    assert set(notes[:2]) <= set(told.notes)


def test_a_judging_that_breaks_down_leaves_the_model_and_its_card(tmp_path, monkeypatch):
    def fails(*args, **options):
        raise MemoryError

    monkeypatch.setattr("chiasm.recipes._judged.zeroshot", fails)
    with pytest.raises(MemoryError):
        train(tmp_path / "run", steps=4, judge=[open_source("world:compositional?size=32&length=6")])
    assert "# A starter" in (tmp_path / "run" / "card.md").read_text()
    open_writer(str(tmp_path / "run"))


def test_it_goes_on_in_the_phase_that_it_was_in(tmp_path):
    whole = train(tmp_path / "whole", steps=4)
    first = dinov2_alone(tmp_path / "halves-before", steps=2)
    assert first.steps == 2
    # Stopped between the phases: the first is done, the last has not begun.
    report = train(tmp_path / "halves", steps=4, resume=True)
    assert report.metrics["loss"] == whole.metrics["loss"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halves")]
    assert weights[0] == weights[1]


def dinov2_alone(out, steps):
    from chiasm.recipes import dinov2 as recipe
    from chiasm.recipes.starter import without_labels

    data = open_source("world:train?size=32&length=48")
    engine = without_labels(PARTS["engine"])
    return recipe.prepared(data, out, PARTS["trunk"], PARTS["pretraining"], engine, {"steps": steps}).run()


def test_a_dry_run_tells_of_both_and_leaves_nothing(tmp_path):
    told = train(tmp_path / "run", steps=4, dry_run=True)
    assert told.steps == 4
    assert any("steps of vision_language" in note for note in told.notes)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("share", [0, 1])
def test_both_phases_need_a_share(tmp_path, share):
    with pytest.raises(InputError, match="--pretraining-share between 0 and 1"):
        starter(open_source("world:train?size=32&length=48"), tmp_path / "run", pretraining_share=share, **PARTS)
