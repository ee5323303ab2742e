"""Class names and templates: the sets, what a person writes, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from chiasm.core.errors import InputError
from chiasm.data.prompts import SETS, open_names, open_templates, prompts


def test_the_published_sets_are_complete() -> None:
    assert {name: len(templates) for name, templates in SETS.items()} == {"plain": 1, "simple": 7, "imagenet": 80}
    assert all(template.count("{}") == 1 for templates in SETS.values() for template in templates)
    assert set(SETS["simple"]) <= set(SETS["imagenet"])
    # The 80 templates, in the order of OpenAI's notebook, joined by line ends.
    assert hashlib.sha256("\n".join(SETS["imagenet"]).encode()).hexdigest() == HASH


HASH = "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"


def test_prompts_put_the_name_into_every_template() -> None:
    assert prompts("polar_bear", ("a {}.", "{} by {}, 100%")) == ("a polar bear.", "polar bear by polar bear, 100%")
    assert prompts("{odd} %s", ("a {}",)) == ("a {odd} %s",)


def test_names_are_words_or_lines_or_json(tmp_path: Path) -> None:
    assert open_names("cat, polar bear ,dog") == ("cat", "polar bear", "dog")
    assert open_names("cat") == ("cat",)
    lines = tmp_path / "names.txt"
    lines.write_bytes("\ufeffcat\r\n\r\n  tench, Tinca tinca \nKüken".encode())
    assert open_names(str(lines)) == ("cat", "tench, Tinca tinca", "Küken")
    listed = tmp_path / "names.json"
    listed.write_text('["cat", "dog"]')
    assert open_names(str(listed)) == ("cat", "dog")


def test_a_long_list_is_no_name_of_a_file() -> None:
    names = tuple(f"{'very ' * 5}long name {number}" for number in range(12))
    assert open_names(",".join(names)) == names
    with pytest.raises(InputError, match="a file or a text with {}"):
        open_templates("a photo " * 40)


def test_templates_are_a_set_a_file_or_a_sentence(tmp_path: Path) -> None:
    assert open_templates("simple") == SETS["simple"]
    assert open_templates("a scan of {}") == ("a scan of {}",)
    lines = tmp_path / "mine"
    lines.write_text("a scan of {}\nan X-ray, {}\n")
    assert open_templates(str(lines)) == ("a scan of {}", "an X-ray, {}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "names of classes .* there is none"),
        ("cat\ndog\ncat\n", "each class once .* 'cat' comes 2 times"),
        (b"\xff\xfe\x00", "text in .* UTF-8"),
    ],
)
def test_files_of_names_that_cannot_be_used(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        open_names(str(path))


def test_what_is_refused_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"class names at .*none\.txt, but no such file exists"):
        open_names(str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match="class names at .* cannot be read"):
        open_names(str(tmp_path))
    with pytest.raises(InputError, match="names of classes in 'cat,,dog', but one is empty"):
        open_names("cat,,dog")
    wrong = tmp_path / "names.json"
    wrong.write_text('{"cat": 1}')
    with pytest.raises(InputError, match="a list of texts"):
        open_names(str(wrong))
    with pytest.raises(InputError, match="plain, simple, imagenet, a file .* did you mean 'imagenet'"):
        open_templates("imagnet")
    bare = tmp_path / "bare.txt"
    bare.write_text("a photo of a {}\na photo\n")
    with pytest.raises(InputError, match="sentences with {} .* 'a photo' has none"):
        open_templates(str(bare))
