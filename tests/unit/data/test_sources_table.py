"""Tables: columns by name, rows of one picture merged, paths beside the table or in its images folder."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from chiasm.core.errors import BrokenPictureError, InputError, UnknownNameError
from chiasm.core.example import QuestionAnswer, Source
from chiasm.data.open import open_source, open_splits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, two of them in a folder `images`."""
    (tmp_path / "images").mkdir()
    for value, name in enumerate(("a.png", "b.png", "images/c.png", "images/d.png")):
        Image.new("L", (6, 5), value).save(tmp_path / name)
    return tmp_path


def _written(folder: Path, text: str, name: str = "table.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def _grey(source: Source, index: int) -> int:
    return int(source.read(index).picture[0, 0, 0])


def test_rows_of_one_picture_are_merged_in_order(folder: Path) -> None:
    text = 'file,caption_index,caption\nb.png,0,two\na.png,0,one\nb.png,1,"second, with comma"\nb.png,2,\n'
    source = open_source(_written(folder, text))
    assert [source.key(index) for index in range(len(source))] == ["b.png", "a.png"]
    assert source.read(0).captions == ("two", "second, with comma")
    assert source.read(1).captions == ("one",)
    assert (_grey(source, 0), _grey(source, 1)) == (1, 0)
    assert source.classes == ()
    assert source.label(0) is None


def test_captions_and_answers_in_several_columns_of_one_name(folder: Path) -> None:
    text = "path,caption,Caption ,question,answer,answer,,\na.png,one,two,What?,a cat,cat,,\nb.png,,three,,,,,\n"
    source = open_source(_written(folder, text))
    assert source.read(0).captions == ("one", "two")
    assert source.read(0).questions == (QuestionAnswer("", "What?", "a cat"), QuestionAnswer("", "What?", "cat"))
    assert source.read(1).captions == ("three",)


def test_questions_with_one_answer_or_several(folder: Path) -> None:
    text = (
        "file,question,answer,kind\na.png,What is it?,a cat,shape\nb.png,,,\na.png,How many?,2,\na.png,Where?,,where\n"
    )
    source = open_source(_written(folder, text))
    assert source.read(0).questions == (
        QuestionAnswer("shape", "What is it?", "a cat"),
        QuestionAnswer("", "How many?", "2"),
    )
    assert source.read(1).questions == ()
    assert source.read(0).captions == ()
    content = {"image": ["a.png"], "question": ["Is it red?"], "answers": [["yes", "no"]]}
    pyarrow.parquet.write_table(pa.table(content), folder / "t.parquet")
    asked = open_source(str(folder / "t.parquet")).read(0).questions
    assert [(one.question, one.answer) for one in asked] == [("Is it red?", "yes"), ("Is it red?", "no")]


def test_paths_beside_the_table_in_images_and_absolute(folder: Path) -> None:
    text = f"image\tclass\nc.png\tx\n{folder / 'b.png'}\ty\n./images/d.png\tx\nnowhere.png\ty\n"
    source = open_source(_written(folder, text, "t.tsv"))
    assert [_grey(source, index) for index in range(3)] == [2, 1, 3]
    assert source.key(2) == "images/d.png"
    with pytest.raises(BrokenPictureError, match="no such file"):
        source.read(3)


def test_a_name_too_long_for_a_file_is_one_broken_picture(folder: Path) -> None:
    source = open_source(_written(folder, f"image\n{'x' * 300}.png\nc.png\n"))
    with pytest.raises(BrokenPictureError, match="File name too long"):
        source.read(0)
    assert _grey(source, 1) == 2


def test_classes_are_sorted_as_what_they_are(folder: Path) -> None:
    words = open_source(_written(folder, "path,label\na.png,dog\nb.png,cat\nimages/c.png,\nd.png,dog\n"))
    assert words.classes == ("cat", "dog")
    assert [words.label(index) for index in range(4)] == [1, 0, None, 1]
    assert words.read(0).label == 1
    numbers = open_source(_written(folder, "path,label\na.png,10\nb.png,9\nc.png,-1\nd.png,10\n"))
    assert numbers.classes == ("-1", "9", "10")
    assert [numbers.label(index) for index in range(4)] == [2, 1, 0, 2]


def test_parquet_with_lists_of_captions(folder: Path) -> None:
    content = {"Filename": ["a.png", "c.png"], "captions": [["one", "uno"], []], "label": [3, 1], "extra": [0.5, 0.5]}
    pyarrow.parquet.write_table(pa.table(content), folder / "t.parquet")
    source = open_source(str(folder / "t.parquet"))
    assert source.read(0).captions == ("one", "uno")
    assert source.read(1).captions == ()
    assert source.classes == ("1", "3")
    assert source.label(0) == 1


def test_spreadsheet_habits(folder: Path) -> None:
    (folder / "t.csv").write_bytes(b"\xef\xbb\xbfFile , Label\r\n a.png,x\r\n\r\nb.png,y\r\n")
    source = open_source(str(folder / "t.csv"))
    assert source.key(0) == "a.png"
    assert source.classes == ("x", "y")


def test_a_column_without_a_name_says_nothing(folder: Path) -> None:
    """Pandas writes one with the numbers of the rows."""
    source = open_source(_written(folder, ",path\n0,a.png\n1,b.png\n"))
    assert source.classes == ()
    assert source.read(0).captions == ()


def test_split_column(folder: Path) -> None:
    where = _written(folder, "file,split,class\na.png,train,z\nb.png,val,y\nimages/c.png,train,y\nimages/d.png,dev,y\n")
    train = open_source(where)
    assert train.name == f"{where}?split=train"
    assert [train.key(index) for index in range(len(train))] == ["a.png", "images/c.png"]
    assert open_source(where, "dev").key(0) == "images/d.png"
    assert open_source(f"{where}?split=val").key(0) == "b.png"
    both = open_splits(where)
    assert both.test.name == f"{where}?split=val"
    # Only z and y occur in training, only y in testing: both must count alike.
    assert both.train.classes == both.test.classes == ("y", "z")
    assert (both.test.label(0), both.test.read(0).label) == (0, 0)
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        open_source(where, "trian")
    with pytest.raises(UnknownNameError, match=r"\(dev, train, val\), but 'nope' came"):
        open_source(f"{where}?split=nope")


_BAD = {
    "no path column": ("name,label\na.png,x\n", "its columns are name, label"),
    "empty file": ("", "its columns are none"),
    "no rows": ("file,label\n", "there are none"),
    "a row without a path": ("file,label\na.png,x\n,y\n", "row 2 has none as file"),
    "two labels": ("file,label\na.png,x\na.png,y\n", "a.png has 'x' and 'y'"),
    "a short row": ("file,label\na.png\n", "row 1 has 1"),
    "two columns of labels": ("file,label,Label\na.png,x,y\n", "one column label in"),
    "two columns of paths": ("file,file\na.png,b.png\n", "there are 2; rename or remove the others"),
    "an open quote": ('file,label\n"a.png,x\n', "cannot be read"),
}


@pytest.mark.parametrize("name", _BAD)
def test_bad_tables_are_told_in_one_line(folder: Path, name: str) -> None:
    text, told = _BAD[name]
    with pytest.raises(InputError) as caught:
        open_source(_written(folder, text))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_encodings_and_files(folder: Path) -> None:
    (folder / "latin.csv").write_bytes("file,label\na.png,grün\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        open_source(str(folder / "latin.csv"))
    (folder / "t.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="Parquet"):
        open_source(str(folder / "t.parquet"))
    pyarrow.parquet.write_table(pa.table({"image": [{"bytes": b"1"}], "x": [1]}), folder / "bytes.parquet")
    with pytest.raises(InputError, match="row 1 has dict as image"):
        open_source(str(folder / "bytes.parquet"))
    pyarrow.parquet.write_table(pa.table({"x": [1], "y": [1]}), folder / "other.parquet")
    with pytest.raises(InputError, match="its columns are x, y"):
        open_source(str(folder / "other.parquet"))
