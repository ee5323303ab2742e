"""Models of transformers that read texts: what they learn on with is their own loss, and all of them is kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from references import pixels, redrawn
from vocabularies import clip_files

import chiasm
from chiasm.core.views import Texts, Views
from chiasm.data.open import open_source
from chiasm.data.texts import TextMaker
from chiasm.engine.settings import Settings
from chiasm.models import load_picture_model
from chiasm.models.dual_encoder import DualEncoder
from chiasm.objectives import clip as clip_method
from chiasm.objectives import siglip as siglip_method
from chiasm.objectives._contrastive import SmallText
from chiasm.recipes._begun import LR_FURTHER, _begun
from chiasm.recipes.clip import clip
from chiasm.recipes.siglip import siglip
from chiasm.serve.encoder import open_encoder
from chiasm.weights import artefact
from chiasm.weights.find import find

transformers = pytest.importorskip("transformers")
SENTENCEPIECE = Path(__file__).parents[1] / "fixtures" / "sentencepiece"
DATA = "world:train?size=40&length=24"
CAPTIONS = ["a red circle", "two small blue squares and a cat that don't fit in so few tokens, cut", "big", "green dog"]
SIZES: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
VISION: dict[str, Any] = {**SIZES, "hidden_size": 32, "image_size": 32, "patch_size": 8}
TEXT: dict[str, Any] = {**SIZES, "hidden_size": 24, "max_position_embeddings": 12}


def save_clip(folder: Path) -> Any:
    numbers = clip_files(folder)
    text = {**TEXT, "vocab_size": len(numbers), "eos_token_id": len(numbers) - 1}
    config = transformers.CLIPConfig(vision_config=VISION, text_config=text, projection_dim=20)
    reference = redrawn(transformers.CLIPModel(config), deviation=0.1)
    reference.save_pretrained(folder)
    return reference


def save_siglip(folder: Path) -> Any:
    for file in ("spiece.model", "tokenizer_config.json"):
        shutil.copy(SENTENCEPIECE / file, folder)
    text = {**TEXT, "vocab_size": 2000, "projection_size": 32}
    config = transformers.SiglipConfig(vision_config=VISION, text_config=text)
    reference = redrawn(transformers.SiglipModel(config), deviation=0.1)
    reference.save_pretrained(folder)
    return reference


KINDS = {
    "clip": (save_clip, clip_method.Config(), clip),
    "siglip": (save_siglip, siglip_method.Config(), siglip),
}


def rows(maker: TextMaker) -> Texts:
    """Captions as training puts them."""
    texts = maker.blank(len(CAPTIONS))
    example = open_source(DATA).read(0, 32)
    for place, caption in enumerate(CAPTIONS):
        maker.put(texts, place, replace(example, captions=(caption,)), np.random.default_rng(0))
    return texts


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_their_own(tmp_path, kind):
    save, settings, _ = KINDS[kind]
    reference = save(tmp_path).double()
    begun = _begun(settings, str(tmp_path))
    assert begun is not None
    trunk = chiasm.load(str(tmp_path)).encoder.trunk
    objective = begun.objective(settings, trunk).double()
    (spec,) = objective.texts()
    texts = rows(TextMaker(spec, begun.words.tokenizer(spec.length)))
    wanted = begun.model.text_encoder.tokenizer(find(str(tmp_path)).tokenizer())(CAPTIONS)
    assert texts.tokens.tolist() == wanted.tolist()
    images = pixels(32, 32).repeat(2, 1, 1, 1)[: len(CAPTIONS)]
    images[2:] = 255 - images[2:]
    found = objective(Views(images=(images,), indices=torch.arange(4), texts=(texts,)), 0.0).total.item()
    told = reference(input_ids=wanted, pixel_values=trunk.normalize(images), return_loss=True).loss.item()
    assert found == pytest.approx(told, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("in_float32")
def test_everything_is_kept(tmp_path, kind):
    save, settings, recipe = KINDS[kind]
    (tmp_path / "public").mkdir()
    save(tmp_path / "public")
    engine = Settings(batch_size=8, lr=1e-12, weight_decay=0, num_probes=0)
    start, again, out = (str(tmp_path / name) for name in ("public", "further", "again"))
    recipe(open_source(DATA), Path(again), steps=1, start_from=start, objective=settings, engine=engine)
    # And from there in the same way: a run is a model like any other.
    recipe(open_source(DATA), Path(out), steps=1, start_from=again, objective=settings, engine=engine)
    few, texts = open_source("world:test?size=40&length=5"), ["a red circle", "a big blue square"]
    before = open_encoder(start)
    for name in (again, out):
        after = open_encoder(name)
        assert after.text is not None
        assert before.text is not None
        np.testing.assert_allclose(after.embed(few).vectors, before.embed(few).vectors, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(after.text.embed(texts), before.text.embed(texts), rtol=1e-4, atol=1e-5)
        found, wanted = ((side.logit_scale, side.logit_bias or 0.0) for side in (after.text, before.text))
        assert found == pytest.approx(wanted, rel=1e-5)


def test_both_sides_learn_gently_unless_told(tmp_path):
    (tmp_path / "public").mkdir()
    reference = save_clip(tmp_path / "public")
    start = str(tmp_path / "public")
    clip(open_source(DATA), tmp_path / "run", steps=2, start_from=start, engine=Settings(batch_size=8, num_probes=0))
    settings = (tmp_path / "run" / "card.md").read_text()
    assert f"--engine.lr={LR_FURTHER}" in settings
    learned = load_picture_model(str(tmp_path / "run"))
    assert isinstance(learned, DualEncoder)
    before, after = reference.state_dict(), learned.state_dict()
    for ours, theirs in (
        ("text_encoder.projection.weight", "text_projection.weight"),
        ("image_encoder.projection.weight", "visual_projection.weight"),
        ("text_encoder.trunk.token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
    ):
        moved = (after[ours] - before[theirs]).abs().max().item()
        assert 0 < moved < 10 * LR_FURTHER


def test_a_text_side_that_was_asked_for_is_new(tmp_path):
    (tmp_path / "public").mkdir()
    save_clip(tmp_path / "public")
    asked = clip_method.Config(text=SmallText(vocab_size=300, embed_dim=16, depth=1, num_heads=2))
    engine = Settings(batch_size=8, num_probes=0)
    clip(
        open_source(DATA),
        tmp_path / "new",
        steps=1,
        start_from=str(tmp_path / "public"),
        objective=asked,
        engine=engine,
    )
    assert artefact.read(tmp_path / "new").config["text"]["trunk"]["embed_dim"] == 16
    assert "[START]" in find(str(tmp_path / "new")).tokenizer()
