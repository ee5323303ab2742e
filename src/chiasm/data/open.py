"""From the text a person writes to a source: `photos/`, `one.jpg`, `labels.csv?split=val`, `a-{00..04}.tar`, `world`.

The grammar is `[scheme:]where[?option=value&...]`. Without a scheme the format is told from what lies at the path.

Splits: where a source has splits (subfolders `train/` and `test/`, a split column, shards named after splits, a saved
dictionary of data sets) and the text names none of them, the training split is meant: nothing trains on test pictures
by accident. `open_source(text, "test")` and the text that a source gives as its name reach the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from chiasm.core.errors import InputError, UnknownNameError, nearest
from chiasm.core.example import Source, Splits
from chiasm.core.files import expanded
from chiasm.data.sources._files import PictureFiles, entries
from chiasm.data.sources._formats import SOURCES, format_of
from chiasm.data.sources._splits import TEST_NAMES, TRAIN_NAMES, cut_split, first_of
from chiasm.data.splits import align, derive, derived_part

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9_+-]+):(?P<where>.*)", re.DOTALL)
_KINDS = "a picture, a folder of pictures, a table (.csv, .tsv, .parquet), tar shards, a saved data set or 'world'"


def open_source(spec: str, split: str | None = None) -> Source:
    """Open what a text names.

    Args:
        spec: `[scheme:]where[?option=value&...]`, as the module's docstring says.
        split: one of the source's splits, whichever `spec` names; None: the one that `spec` names, else the training
            split, else everything.

    Raises:
        InputError: nothing usable lies there, or the source has no splits although one was asked for.
        UnknownNameError: the scheme, split or option is not known; the nearest one is offered.
    """
    part = derived_part(spec)
    if part is not None:
        if split is not None:
            raise InputError(
                "a derived split or a split, not both", f"{spec} came with split {split}", "drop one of them"
            )
        train, test = derive(open_source(part.spec), part.seed)
        return test if part.is_test else train
    target = _resolve(spec)
    available = target.module.splits(target.where)
    asked = target.split if split is None else split
    if asked is None and not available:
        return target.open(target.where)
    if asked is None:
        asked = first_of(TRAIN_NAMES, available) or next(iter(available))
    elif not available:
        raise InputError(f"a source with a split {asked!r}", f"{spec} has no splits", "leave the split out")
    elif asked not in available:
        raise UnknownNameError(f"split of {spec}", asked, available)
    return target.open(available[asked])


def open_splits(spec: str, seed: int = 0) -> Splits:
    """Open a training and a test source over the same classes.

    The source's own splits are used where it has a training and a test (else validation) split, also when `spec` names
    one of them. Otherwise four fifths of the pictures of each class are drawn for training and one fifth for testing;
    the names of such sources say so (`photos/?derived=train&seed=0`) and open them again.

    Args:
        spec: as for `open_source`.
        seed: of the drawn split; without effect where the source has splits of its own.

    Raises:
        InputError: also where there are too few pictures to draw a split.
        UnknownNameError: the scheme or option is not known.
    """
    part = derived_part(spec)
    if part is not None:
        return Splits(*derive(open_source(part.spec), part.seed))
    target = _resolve(spec)
    available = target.module.splits(target.where)
    train, test = first_of(TRAIN_NAMES, available), first_of(TEST_NAMES, available)
    if train and test:
        return Splits(*align(target.open(available[train]), target.open(available[test])))
    return Splits(*derive(open_source(spec), seed))


def open_judged(spec: str) -> Source:
    """Open pictures to judge a model on, from which nothing is learnt.

    The split that `spec` names, else the source's test (else validation) split, else everything.

    Args:
        spec: as for `open_source`.

    Raises:
        InputError: nothing usable lies there.
        UnknownNameError: the scheme, split or option is not known.
    """
    if derived_part(spec) is not None:
        return open_source(spec)
    target = _resolve(spec)
    test = first_of(TEST_NAMES, target.module.splits(target.where)) if target.split is None else None
    return open_source(spec) if test is None else open_source(spec, test)


def open_picture(path: Path) -> Source:
    """One picture file as a source of its own; its key is the path. A file that is missing shows when it is read."""
    return PictureFiles(str(path), [str(path)], Path)


@dataclass(frozen=True, slots=True)
class _Target:
    """A source format, the text it understands without the split, and the split.

    Attributes:
        recognised: the format was told from what lies at the path.
    """

    scheme: str
    module: ModuleType
    where: str
    split: str | None
    recognised: bool = False

    def open(self, where: str) -> Source:
        """Open one of the target's splits, or all of it, and name it by the shortest text that leads back there."""
        return SOURCES.function(self.scheme)(where, where if self._is_told_by(where) else f"{self.scheme}:{where}")

    def _is_told_by(self, where: str) -> bool:
        """Whether the format is understood without the scheme."""
        if self.scheme in _pathless():
            return False
        place, _ = cut_split(where)
        # Looking at a folder of a million pictures takes a while, so it is not done twice.
        return (self.recognised and str(place) == self.where) or format_of(place) == self.scheme


def _resolve(spec: str) -> _Target:
    try:
        return _found(spec)
    except OSError as error:
        raise InputError("a path that can be read", f"{spec} cannot ({error.strerror})", "check the path") from None


def _found(spec: str) -> _Target:
    if not spec.strip():
        raise InputError(_KINDS, "an empty text came", "name one")
    with_scheme = _SCHEME.fullmatch(spec)
    path = expanded(spec)
    if with_scheme and not path.exists():
        scheme, where = with_scheme["scheme"].lower().replace("-", "_"), with_scheme["where"]
        if where.startswith("//"):
            raise InputError("a path on this machine", f"the address {spec} came", "download it and give the folder")
        return _pathless_target(scheme, where) if scheme in _pathless() else _path_target(scheme, where)
    bare, _, options = spec.partition("?")
    if bare in _pathless() and not Path(bare).exists():
        return _pathless_target(bare, f"?{options}" if options else "")
    return _path_target(None, spec)


def _path_target(scheme: str | None, where: str) -> _Target:
    """What lies at a path; its format is looked up where no scheme is given."""
    place, split = cut_split(str(expanded(where)))
    found = scheme or format_of(place)
    if found is None or not (place.exists() or SOURCES.module(found).recognises(place)):
        raise _unusable(place)
    return _Target(found, SOURCES.module(found), str(place), split, recognised=scheme is None)


def _pathless_target(scheme: str, where: str) -> _Target:
    """A source of which the text holds a split and options."""
    split, question, options = where.partition("?")
    return _Target(scheme, SOURCES.module(scheme), question + options, split or None)


def _unusable(path: Path) -> InputError:
    """Why nothing can be opened at a path."""
    if path.is_dir():
        found = sorted(entry.name for entry in entries(path))
        came = f"{path} is empty" if not found else f"{path} holds none ({_some(found)})"
        return InputError("a folder with pictures in it", came, "check the path or add pictures")
    if path.is_symlink() and not path.exists():
        return InputError(_KINDS, f"{path} is a link that leads nowhere", "repair the link")
    if path.exists():
        return InputError(_KINDS, f"{path} is none of these", "give its folder, or convert it")
    parent = next(folder for folder in path.parents if folder.is_dir())
    names = [entry.name for entry in entries(parent)]
    near = nearest(path.relative_to(parent).parts[0], names + (_pathless() if len(path.parts) == 1 else []))
    do = f"did you mean {str(parent / near)!r}" if near else "check the path"
    return InputError(_KINDS, f"nothing exists at {path}", do)


def _pathless() -> list[str]:
    """Sources that lie at no path and so are named alone."""
    return [name for name in SOURCES.names() if not hasattr(SOURCES.module(name), "recognises")]


def _some(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
