"""Recipes that tie a trunk to texts: what comes along when a run starts from another one."""

from pathlib import Path

import pytest

from chiasm.core.errors import InputError
from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.heads import writer as writers
from chiasm.objectives import clip as method
from chiasm.objectives import vision_language as both
from chiasm.objectives._contrastive import SmallText
from chiasm.recipes.clip import clip
from chiasm.recipes.vision_language import vision_language
from chiasm.serve.writer import open_writer
from chiasm.trunks import vit

TEXT = SmallText(vocab_size=300, embed_dim=16, depth=1, num_heads=2)
PARTS = {"objective": method.Config(text=TEXT, embed_dim=8), "engine": Settings(batch_size=8, num_probes=1)}
SMALL = vit.Config(embed_dim=24, depth=1, num_heads=2, image_size=32, patch_size=8)


def train(data: str, out: Path, **run) -> str:
    """The vocabulary of a short run."""
    clip(open_source(data), out, steps=1, **{**PARTS, **run})
    return (out / "tokenizer.json").read_text()


def test_heads_come_along_with_the_vocabulary_that_they_were_learned_with(tmp_path):
    data, other = "world:train?size=32&length=48", "world:train?size=32&length=16&seed=5"
    first = train(data, tmp_path / "first", trunk=SMALL)
    assert train(other, tmp_path / "further", start_from=str(tmp_path / "first")) == first
    alone = str(tmp_path / "first" / "model.safetensors")
    assert train(other, tmp_path / "alone", start_from=alone) != first


@pytest.mark.parametrize(
    ("left_out", "does", "not_this"), [("answer", "caption", "ask"), ("caption", "ask", "describe")]
)
def test_what_was_not_learned_is_not_offered(tmp_path, left_out, does, not_this):
    text = SmallText(vocab_size=300, embed_dim=16, depth=1, num_heads=2)
    writer = writers.Config(embed_dim=16, depth=1, num_heads=2)
    objective = both.Config.model_validate({"text": text, "writer": writer, "embed_dim": 8, f"{left_out}_weight": 0.0})
    data = open_source("world:train?size=32&length=16")
    vision_language(data, tmp_path / "run", steps=1, trunk=SMALL, objective=objective, engine=PARTS["engine"])
    made = open_writer(str(tmp_path / "run"))
    assert does in made.encoder.model.tasks
    assert not_this not in made.encoder.model.tasks
    with pytest.raises(InputError, match="only"):
        made.caption(data) if left_out == "caption" else made.answer(data, {data.key(0): ["Is it red?"]})
