"""Errors, registry, config, seeds, files: what everything stands on."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import Field

from chiasm.core import files
from chiasm.core.config import Config
from chiasm.core.errors import InputError, UnknownNameError, nearest
from chiasm.core.registry import Registry
from chiasm.core.seeds import derive, stream
from chiasm.core.views import ViewSpec


class Inner(Config):
    width: int = Field(default=3, gt=0)


class Outer(Config):
    inner: Inner = Inner()
    name: str


def test_an_error_is_one_line():
    error = InputError("a\nfolder", "a  file came", "look")
    assert str(error) == "expected a folder, but a file came; look."
    assert error.exit_code == 2


def test_unknown_names_offer_the_nearest():
    assert "did you mean 'simclr'" in str(UnknownNameError("objective", "simcrl", ["mae", "simclr"]))
    assert "choose one of these" in str(UnknownNameError("objective", "zzz", ["mae"]))
    assert nearest("x", []) is None


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_part.py").write_text("raise RuntimeError")
    (folder / "lion.py").write_text('"""A lion: it roars.\n\nMore."""\ndef lion():\n    return "roar"\n')
    (folder / "broken.py").write_text('"""Breaks on import."""\nraise RuntimeError\n')
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("zoo", "animal")


def test_the_folder_is_the_registry_and_listing_imports_nothing(package):
    assert package.names() == ("broken", "lion")
    assert package.summary("lion") == "A lion: it roars."
    assert package.summary("broken") == "Breaks on import."
    assert package.function("lion")() == "roar"
    with pytest.raises(UnknownNameError, match="did you mean 'lion'"):
        package.function("loin")
    with pytest.raises(UnknownNameError):
        package.function("_part")


def test_config_errors_name_the_key_and_the_nearest_one():
    with pytest.raises(InputError, match=r"only known keys in c.json, but 'nmae' is not one; did you mean 'name'"):
        Outer.parse({"name": "x", "nmae": 1}, "c.json")
    with pytest.raises(InputError, match=r"'inner.widht' is not one; did you mean 'width'"):
        Outer.parse({"name": "x", "inner": {"widht": 1}}, "c.json")
    with pytest.raises(InputError, match="the key 'name' in c.json, but it is missing"):
        Outer.parse({}, "c.json")
    with pytest.raises(InputError, match=r"a valid 'inner.width' in c.json, but 0 came"):
        Outer.parse({"name": "x", "inner": {"width": 0}}, "c.json")
    with pytest.raises(InputError, match="named settings"):
        Outer.parse([1], "c.json")


def test_streams_depend_on_seed_and_purpose_alone():
    def draw(*key):
        return stream(*key).integers(0, 2**62, 4).tolist()

    first = draw(3, "augment", 5)
    stream(3, "other").random(100)
    assert draw(3, "augment", 5) == first
    assert (
        len({str(draw(*key)) for key in ((3, "augment", 5), (4, "augment", 5), (3, "order", 5), (3, "augment", 6))})
        == 4
    )
    code = "from chiasm.core.seeds import stream; print(stream(3, 'augment', 5).integers(0, 2**62, 4).tolist())"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(elsewhere.stdout) == first
    assert 0 <= derive(3, "weights") < 2**63
    with pytest.raises(InputError, match="seed of at least 0"):
        stream(-1)


def test_streams_are_not_correlated():
    draws = np.stack([stream(0, "x", index).standard_normal(400) for index in range(40)])
    correlation = np.corrcoef(draws) - np.eye(40)
    assert np.abs(correlation).max() < 0.25


def fail_after_writing(path):
    path.write_text("half")
    raise InterruptedError


def test_atomic_file_keeps_the_old_one_when_writing_fails(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    files.write_text(path, "old")
    with pytest.raises(InterruptedError), files.atomic_path(path) as part:
        fail_after_writing(part)
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_atomic_folder_is_there_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "folder"
    with pytest.raises(InterruptedError), files.atomic_folder(path) as part:
        fail_after_writing(part / "half")
    assert list(path.parent.iterdir()) == []
    with files.atomic_folder(path) as part:
        (part / "one").write_text("one")
    assert [entry.name for entry in path.parent.iterdir()] == ["folder"]
    assert [entry.name for entry in path.iterdir()] == ["one"]
    with pytest.raises(InputError, match="not empty"), files.atomic_folder(path):
        pass
    with pytest.raises(InputError, match="is a file"), files.atomic_folder(path / "one"):
        pass
    assert [entry.name for entry in path.iterdir()] == ["one"]


def test_new_files_get_the_rights_of_any_other(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("x")
    files.write_text(atomic, "x")
    assert atomic.stat().st_mode == plain.stat().st_mode
    with files.atomic_path(atomic) as part:
        part.unlink()
        part.touch(mode=0o600)
    assert atomic.stat().st_mode == plain.stat().st_mode


def test_undecodable_names_can_be_written(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    files.write_json(tmp_path / "x.json", {"name": name})
    assert files.read_json(tmp_path / "x.json", "names") == {"name": name}


def test_a_full_disk_is_told(tmp_path):
    path = tmp_path / "file.txt"
    with pytest.raises(InputError, match="disk is full"), files.atomic_path(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="can be written"):
        files.write_text(tmp_path / "file" / "below", "y")
    with pytest.raises(InputError, match="File name too long"):
        files.write_text(tmp_path / ("x" * 300), "y")
    with pytest.raises(InputError, match="Is a directory"), files.atomic_path(tmp_path / "folder"):
        (tmp_path / "folder").mkdir()


def test_home_folders_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.expanded("~/pictures") == tmp_path / "pictures"
    assert str(files.expanded("pictures/")) == "pictures"
    with pytest.raises(InputError, match="~nobody-of-this-name"):
        files.expanded("~nobody-of-this-name/pictures")
    with pytest.raises(InputError, match="an empty text"):
        files.expanded(" ")


def test_a_text_too_long_for_a_name_leads_nowhere(tmp_path):
    assert files.is_there(tmp_path)
    assert not files.is_there(tmp_path / "none")
    assert not files.is_there(tmp_path / ("x" * 300))


def test_json_that_is_missing_or_broken(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        files.read_json(tmp_path / "none.json", "a config")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="cannot be parsed"):
        files.read_json(tmp_path / "bad.json", "a config")


def test_a_view_needs_its_limits_in_order():
    with pytest.raises(InputError, match="min_area"):
        ViewSpec.parse({"size_px": 8, "min_area": 0.5, "max_area": 0.2}, "a view")
