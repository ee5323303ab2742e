"""Recipes that tie a trunk to texts: what comes along when a run starts from another one."""

from pathlib import Path

from chiasm.data.open import open_source
from chiasm.engine.settings import Settings
from chiasm.objectives import clip as method
from chiasm.objectives._contrastive import SmallText
from chiasm.recipes.clip import clip
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
