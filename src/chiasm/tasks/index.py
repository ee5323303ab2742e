"""Index: keep a searchable table of vectors in step with a set of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source, Subset
from chiasm.core.predictors import Encoder, Record
from chiasm.data.skipped import Skipped
from chiasm.tasks._changes import Contents, by_key, compare, find_contents
from chiasm.tasks._vector_table import Origin, VectorTable, check_model, create_table, open_table

# Pictures embedded between two commits: what an interruption loses at most.
_PICTURES_PER_COMMIT = 1024


class Indexed(Record):
    """What `index` did.

    Attributes:
        out: folder of the index.
        model: name of the model.
        source: name of the source.
        num_pictures: pictures in the index now.
        num_duplicates: those among them whose content an earlier one has already; it is stored once.
        num_embedded: contents that the model encoded for this.
        num_added: pictures that are new, also when they are copies of known ones.
        num_changed: pictures with another content than before.
        num_moved: pictures that were renamed or moved.
        num_removed: pictures that are gone, or broken now.
        num_unchanged: pictures that are as and where they were.
        skipped: pictures that could not be read, and why.
    """

    out: Path
    model: str
    source: str
    num_pictures: int
    num_duplicates: int
    num_embedded: int
    num_added: int
    num_changed: int
    num_moved: int
    num_removed: int
    num_unchanged: int
    skipped: dict[str, str]


def index(model: Encoder, data: Source, out: Path) -> Indexed:
    """Make pictures searchable, or bring an index up to date: only contents that are new are embedded.

    An index belongs to one model and one source. Pictures are known by what their files hold: one that was moved or
    copied is not embedded again, and one that the source no longer has is removed from the index. When interrupted, run
    it again: what was embedded so far is kept.

    Args:
        model: the encoder.
        data: the pictures.
        out: folder of the index; made if missing.

    Raises:
        InputError: `out` is no index and not empty, or was made with another model, from another source or by an
            earlier version.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
        MissingExtraError: LanceDB is not installed.
    """
    table = open_table(out)
    before: dict[str, tuple[str, ...]] = {}
    if table is not None:
        check_model(table, model, out)
        _check_source(table, data, out)
        before = table.contents()
    now = find_contents(data, before.keys())
    _judge(data, now)
    if table is None:
        table = create_table(out, Origin(model.name, model.fingerprint, _place(data)), model.embed_dim)
    has_changed = _settle(table, before, now.keys)
    unreadable = _put(table, model, data, now)
    if has_changed or now.fresh:
        table.compact()
    after = {key: digest for key, digest in by_key(now.keys).items() if key not in unreadable}
    moves = compare(by_key(before), after)
    return Indexed(
        out=out,
        model=model.name,
        source=data.name,
        num_pictures=len(after),
        num_duplicates=len(after) - len(table),
        num_embedded=len(now.fresh) - sum(data.key(position) in unreadable for position in now.fresh),
        num_added=moves.added,
        num_changed=moves.changed,
        num_moved=moves.moved,
        num_removed=moves.removed,
        num_unchanged=moves.unchanged,
        skipped=now.broken | unreadable,
    )


def _settle(table: VectorTable, before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]) -> bool:
    """Forget contents that are gone, then say where the known ones lie now; returns whether anything had to be done.

    In this order no picture is ever found under two contents, however the work is interrupted.
    """
    gone = [digest for digest in before if digest not in now]
    elsewhere = [digest for digest, keys in before.items() if digest in now and set(keys) != set(now[digest])]
    table.remove(gone)
    table.place(elsewhere, [now[digest] for digest in elsewhere])
    return bool(gone or elsewhere)


def _put(table: VectorTable, model: Encoder, data: Source, now: Contents) -> dict[str, str]:
    """Embed new contents, commit by commit; returns the pictures that turned out unreadable after all, and why."""
    digests = by_key(now.keys)
    unreadable: dict[str, str] = {}
    for start in range(0, len(now.fresh), _PICTURES_PER_COMMIT):
        embeddings = model.embed(Subset(data, now.fresh[start : start + _PICTURES_PER_COMMIT], data.name))
        found = [digests[key] for key in embeddings.keys]
        table.put(found, [now.keys[digest] for digest in found], embeddings.vectors)
        for key, reason in embeddings.skipped:
            unreadable |= dict.fromkeys(now.keys[digests[key]], reason)
    return unreadable


def _judge(data: Source, now: Contents) -> None:
    """Refuse an empty source and one with too many broken pictures, judged as a whole and before any work is done."""
    if len(data) == 0:
        raise InputError("at least one picture to index", f"{data.name} holds none", "check the source")
    ledger = Skipped()
    for key in by_key(now.keys):
        ledger.seen(key)
    for key, reason in now.broken.items():
        ledger.broken(BrokenPictureError(key, reason))
    ledger.finish()


def _check_source(table: VectorTable, data: Source, out: Path) -> None:
    """Refuse to replace the pictures of one source by those of another, which is what bringing up to date would do."""
    before = table.origin.source
    if before != _place(data):
        raise InputError(
            f"the source {before} that the index {out} was made from",
            f"{data.name} came",
            "index it into another folder, or remove the index first",
        )


def _place(source: Source) -> str:
    """What a source is called wherever it is opened from: the full path of a folder or file, else its name."""
    path = Path(source.name)
    return str(path.resolve()) if path.exists() else source.name
