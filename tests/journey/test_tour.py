"""The tour with small chapters: every chapter writes its section, and a second tour uses the trained trunk again."""

from __future__ import annotations

import json
import re

import pytest
from tiny_clip import save_tiny_clip

from chiasm.core.registry import Registry
from chiasm.surfaces.tour import _folder
from chiasm.trunks import vit

CHAPTERS = Registry("chiasm.surfaces.tour", "chapter")
SMALL = {
    "pretrain": {
        "PRETRAINING": "world:train?size=64&close_up=1&language=0&length=48",
        "SPLITS": "world:?size=64&close_up=1&language=0&length=64",
        "TRUNK": vit.Config(image_size=64, patch_size=16, embed_dim=16, depth=1, num_heads=2),
    },
    "learned": {"SPLITS": "world:?size=64&close_up=1&language=0&length=64", "MAP_POINTS": 50},
    "patches": {"NUM_SHOWN": 2, "PICTURE_PX": 96},
    "find": {"NUM_QUERIES": 4, "SHOWN_QUERIES": 2},
    "tidy": {"NUM_PICTURES": 40, "NUM_COPIES": 3, "NUM_MISLABELLED": 3},
    "why": {"NUM_EXPLAINED": 2, "SHOTS": 1},
    "public_model": {"NUM_PICTURES": 24, "NUM_SHOWN": 6, "PICTURE_PX": 32},
    "words": {
        "NUM_PICTURES": 24,
        "NUM_SHOWN": 6,
        "NUM_SEARCHES": 2,
        "SCENES": "world:compositional?size=64&seed=2&length=8",
    },
    "telling": {
        "SCENES": "world:compositional?size=64&seed=2&length=6",
        "SHOWN": "world:compositional?size=64&seed=2&length=3",
    },
    "few_shot": {"NUM_TEST": 30, "SHOTS": (1, 2), "NUM_SHOWN": 10},
}


@pytest.fixture
def small_chapters(monkeypatch):
    monkeypatch.setattr(_folder, "NUM_PICTURES", 90)
    for name, constants in SMALL.items():
        for constant, value in constants.items():
            monkeypatch.setattr(CHAPTERS.module(name), constant, value)


def test_every_chapter_adds_its_section(small_chapters, shell, tmp_path):
    out, clip = tmp_path / "tour", save_tiny_clip(tmp_path / "clip")
    code, answer, err = shell("tour", "--out", out, "--minutes", 0.01, "--model", clip, "--json")
    assert code == 0, err
    told = json.loads(answer)
    assert {entry["chapter"] for entry in told["chapters"]} == set(CHAPTERS.names())
    page = (out / "report.html").read_text()
    assert len(re.findall(r"<section", page)) >= len(CHAPTERS.names())
    assert 'src="http' not in page
    assert "zero-shot accuracy" in page
    assert "captions that find their picture first" in page
    assert "questions answered right" in page
    assert "SimCLR: learn from unlabelled pictures" in page
    assert "loss: nt_xent" in page
    assert page.count('role="application"') == 2
    assert page.count("heads on ") == 2
    trained = (out / "trunk" / "model.safetensors").read_bytes()
    code, _, err = shell("tour", "--out", out, "--minutes", 0.01)
    assert code == 0
    assert "used again" in err
    assert "no public model was named" in err
    assert (out / "trunk" / "model.safetensors").read_bytes() == trained


def test_chapters_have_an_order_of_their_own():
    orders = [CHAPTERS.module(name).ORDER for name in CHAPTERS.names()]
    assert len(set(orders)) == len(orders) >= 5


def test_a_folder_of_something_else_is_refused(shell, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    code, _, err = shell("tour", "--out", tmp_path)
    assert code == 2
    assert "choose another --out" in err
