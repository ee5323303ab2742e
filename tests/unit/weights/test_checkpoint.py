"""Files of a checkpoint: all there, undamaged, and nothing in them that runs."""

from __future__ import annotations

import argparse
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from chiasm.core.errors import InputError
from chiasm.weights.checkpoint import Checkpoint, read_file, read_folder

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


def folder_of(folder: Path, settings: str = '{"model_type": "x"}') -> Path:
    save_file(WEIGHTS, folder / "model.safetensors")
    (folder / "config.json").write_text(settings)
    return folder


def same(checkpoint: Checkpoint) -> None:
    found = checkpoint.tensors()
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in found)
    assert checkpoint.shapes == {"a.weight": (2, 3), "b": (4,)}


def test_settings_of_model_and_processor(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": 3}')
    checkpoint = read_folder(tmp_path, "x")
    assert checkpoint.settings == {"model_type": "x"}
    assert checkpoint.processor == {"size": 3}
    same(checkpoint)


def test_settings_go_with_their_weights(tmp_path):
    """Some repositories hold a model twice, for two libraries."""
    folder_of(tmp_path)
    save_file({"visual": torch.ones(1)}, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {}}')
    checkpoint = read_folder(tmp_path, "x")
    assert checkpoint.settings == {"model_type": "x"}
    same(checkpoint)
    (tmp_path / "model.safetensors").unlink()
    checkpoint = read_folder(tmp_path, "x")
    assert checkpoint.settings == {"model_cfg": {}}
    assert checkpoint.shapes == {"visual": (1,)}
    assert read_file(tmp_path / "open_clip_model.safetensors", "x").settings == {"model_cfg": {}}


def test_settings_of_the_other_form_are_better_than_none(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "config.json").rename(tmp_path / "open_clip_config.json")
    assert read_folder(tmp_path, "x").settings == {"model_type": "x"}


def test_a_single_file_is_on_its_own(tmp_path):
    save_file(WEIGHTS, tmp_path / "mine.safetensors")
    (tmp_path / "config.json").write_text("{}")
    checkpoint = read_file(tmp_path / "mine.safetensors", "x")
    assert checkpoint.folder is None
    assert checkpoint.settings == {}
    same(checkpoint)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["[1]", "3", "{", ""])
def test_settings_that_are_none(tmp_path, file, text):
    folder_of(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=file):
        read_folder(tmp_path, "x")


def test_missing_shards_are_counted(tmp_path):
    save_file(WEIGHTS, tmp_path / "model-00001-of-00003.safetensors")
    shards = {name: f"model-0000{number}-of-00003.safetensors" for number, name in enumerate("abc", 1)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(InputError, match=r"all 3 files .* 2 of them are missing .*model-00002-of-00003"):
        read_folder(tmp_path, "x")


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": 3}', "{"])
def test_a_broken_list_of_shards(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json"):
        read_folder(tmp_path, "x")


def test_one_file_is_preferred_to_a_list_of_shards(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    same(read_folder(tmp_path, "x"))


@pytest.mark.parametrize("content", [b"", b"xxxxxxxx" * 9, b"\xff" * 40])
def test_damaged_safetensors(tmp_path, content):
    folder_of(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    checkpoint = read_folder(tmp_path, "x")
    for read in (lambda: checkpoint.shapes, checkpoint.tensors):
        with pytest.raises(InputError, match="whole safetensors file"):
            read()


def pickled(tmp_path: Path, content: Any, **options: Any) -> Checkpoint:
    file = tmp_path / "x.pth"
    torch.save(content, file, **options)
    return read_file(file, "x", pickled=True)


@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "bare"])
@pytest.mark.parametrize("nest", [None, "model", "state_dict", "teacher"])
def test_pickled_weights(tmp_path, nest, is_archive):
    beside = {"epoch": 3, "optimizer": {"lr": 0.1, "momentum": torch.ones(2)}, "args": argparse.Namespace(size=3)}
    content = WEIGHTS if nest is None else {nest: WEIGHTS, **beside}
    same(pickled(tmp_path, content, _use_new_zipfile_serialization=is_archive))


def test_pickled_parameters_carry_no_graph(tmp_path):
    found = pickled(tmp_path, {"a": nn.Parameter(torch.ones(2))}).tensors()["a"]
    assert not found.requires_grad


def test_pickled_shards(tmp_path):
    torch.save({"a.weight": WEIGHTS["a.weight"]}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"b": WEIGHTS["b"]}, tmp_path / "pytorch_model-00002-of-00002.bin")
    names = {"a.weight": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))
    same(read_folder(tmp_path, "x", pickled=True))
    with pytest.raises(InputError, match="pickle:x"):
        read_folder(tmp_path, "x")


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "bare"])
def test_a_pickle_runs_nothing(tmp_path, is_archive):
    trace = tmp_path / "trace"
    checkpoint = pickled(tmp_path, {"a": Evil(trace)}, _use_new_zipfile_serialization=is_archive)
    with pytest.raises(InputError, match="other objects, which could run code"):
        checkpoint.tensors()
    assert not trace.exists()
    # The test would have noticed.
    pickle.loads(pickle.dumps(Evil(trace)))
    assert trace.exists()


def test_options_of_a_run_cannot_smuggle(tmp_path):
    trace = tmp_path / "trace"
    with pytest.raises(InputError, match="other objects"):
        pickled(tmp_path, {"model": WEIGHTS, "args": argparse.Namespace(evil=Evil(trace))}).tensors()
    assert not trace.exists()


@pytest.mark.parametrize("content", [torch.ones(3), [torch.ones(3)], {}, {"a": 3}, 3, {"model": {}}])
def test_pickles_without_named_tensors(tmp_path, content):
    with pytest.raises(InputError, match="tensors by their names"):
        pickled(tmp_path, content).tensors()


def test_whole_modules_are_refused(tmp_path):
    with pytest.raises(InputError, match="other objects"):
        pickled(tmp_path, nn.Linear(2, 2)).tensors()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_programs_are_refused(tmp_path):
    file = tmp_path / "clip.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), file)
    with pytest.raises(InputError, match="a program"):
        read_file(file, "x", pickled=True).tensors()


@pytest.mark.parametrize("content", [b"", b"hello " * 20, b"<!DOCTYPE html>", b"version https://git-lfs.github.com"])
def test_what_is_no_pickle(tmp_path, content):
    file = tmp_path / "x.pth"
    file.write_bytes(content)
    with pytest.raises(InputError, match="something else"):
        read_file(file, "x", pickled=True).tensors()


@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "bare"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_a_pickle_that_was_cut_off(tmp_path, share, is_archive):
    checkpoint = pickled(tmp_path, WEIGHTS, _use_new_zipfile_serialization=is_archive)
    whole = checkpoint.files[0].read_bytes()
    checkpoint.files[0].write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError) as caught:
        checkpoint.tensors()
    assert "\n" not in str(caught.value)


def test_a_pickle_that_is_gone(tmp_path):
    checkpoint = pickled(tmp_path, WEIGHTS)
    checkpoint.files[0].unlink()
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.tensors()


def test_the_digest_is_of_all_files(tmp_path):
    for number in (1, 2):
        save_file({f"w{number}": torch.ones(number)}, tmp_path / f"{number}.safetensors")

    def digest(*numbers: int) -> str:
        files = tuple(tmp_path / f"{number}.safetensors" for number in numbers)
        return Checkpoint("x", files, False, {}, {}, None).digest

    assert len({digest(1), digest(2), digest(1, 2), digest(2, 1)}) == 4
    assert digest(1, 2) == digest(1, 2)
    (tmp_path / "1.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        digest(1)


def test_a_pickled_checkpoint_can_be_read_again(tmp_path):
    """Layouts take tensors out of what they translate; a second reading must not miss them."""
    file = tmp_path / "model.bin"
    torch.save({"a": torch.zeros(2), "b": torch.ones(3)}, file)
    checkpoint = read_file(file, "some", pickled=True)
    checkpoint.tensors().pop("a")
    assert set(checkpoint.tensors()) == {"a", "b"}
