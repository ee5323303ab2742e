"""Models to artefacts and back: the same answers, and nothing silent."""

from __future__ import annotations

import json

import pytest
import torch

from chiasm.core.errors import InputError, UnknownNameError
from chiasm.core.protocols import Model
from chiasm.models import encoder, registry
from chiasm.models._store import load_model, save_model
from chiasm.trunks import vit
from chiasm.weights import artefact
from chiasm.weights.card import Card

TRUNK = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)


def some_card(**metrics: float) -> Card:
    return Card.now("A test", "nothing", "chiasm train x", 90.0, {"seed": "0"}, metrics)


@pytest.fixture
def model() -> encoder.Encoder:
    torch.manual_seed(0)
    return encoder.Config(trunk=TRUNK).build().eval()


def test_round_trip_gives_the_same_answers(model, tmp_path):
    stored = save_model(model, tmp_path, some_card(accuracy=0.5))
    again = load_model(artefact.read(tmp_path), encoder.Encoder)
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(model(images), again(images))
    assert again.config == model.config
    assert not again.training
    assert stored.tasks == model.tasks
    assert stored.num_parameters() == sum(value.numel() for value in model.state_dict().values())
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"accuracy": 0.5}
    assert "1.5 minutes" in (tmp_path / "card.md").read_text()


def test_the_fingerprint_changes_with_weights_and_settings(model, tmp_path):
    first = save_model(model, tmp_path / "a", some_card()).fingerprint
    assert save_model(model, tmp_path / "b", some_card(x=1.0)).fingerprint == first
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    assert save_model(model, tmp_path / "c", some_card()).fingerprint != first
    other = encoder.Config(trunk=TRUNK.model_copy(update={"mean": (0.5, 0.5, 0.5)})).build()
    other.load_state_dict(load_model(artefact.read(tmp_path / "a"), encoder.Encoder).state_dict())
    assert save_model(other, tmp_path / "d", some_card()).fingerprint != first


def test_weights_that_are_not_the_artefacts_own_are_refused(model, tmp_path):
    stored = save_model(model, tmp_path, some_card())
    weights = tmp_path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match="holds others"):
        load_model(stored, encoder.Encoder)
    weights.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        stored.tensors()


def test_a_folder_with_a_config_is_whole_even_when_it_is_written_again(model, tmp_path, monkeypatch):
    save_model(model, tmp_path, some_card())

    def cut_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(artefact, "write_text", cut_off)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, tmp_path, some_card())
    with pytest.raises(InputError, match="has no config.json"):
        artefact.read(tmp_path)


def test_an_unknown_family_is_answered_with_the_nearest(model, tmp_path):
    save_model(model, tmp_path, some_card())
    config = json.loads((tmp_path / "config.json").read_text())
    config["config"]["trunk"]["family"] = "vti"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnknownNameError, match="vit"):
        load_model(artefact.read(tmp_path), encoder.Encoder)
    config["model"] = "encodr"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnknownNameError, match="did you mean 'encoder'"):
        load_model(artefact.read(tmp_path), encoder.Encoder)


def test_a_model_of_another_kind_is_refused(model, tmp_path):
    class Other(Model):
        pass

    save_model(model, tmp_path, some_card())
    with pytest.raises(InputError, match="choose another model"):
        load_model(artefact.read(tmp_path), Other)


def test_another_format_is_refused(model, tmp_path):
    save_model(model, tmp_path, some_card())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "format": 2}))
    with pytest.raises(InputError, match="format"):
        artefact.read(tmp_path)


def test_find_passes_over_what_is_no_artefact(model, tmp_path):
    save_model(model, tmp_path / "deep" / "one", some_card())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    assert [item.folder.name for item in artefact.find(tmp_path)] == ["one"]


def test_every_registered_model_round_trips_its_settings():
    assert registry.names()
    config = encoder.Config(trunk=TRUNK)
    assert encoder.Config.model_validate_json(config.model_dump_json()) == config
