"""Index: keep a searchable table of vectors in step with a set of pictures."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.errors import BrokenPictureError, InputError
from chiasm.core.example import Source, Subset
from chiasm.core.predictors import Encoder, Record
from chiasm.data.skipped import Skipped
from chiasm.tasks._changes import Changes, find_changes
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
        num_added: pictures that are new.
        num_changed: pictures whose content had changed and that were embedded again.
        num_removed: pictures that are gone, or broken now.
        num_unchanged: pictures that were left as they were.
        skipped: pictures that could not be read, and why.
    """

    out: Path
    model: str
    source: str
    num_pictures: int
    num_added: int
    num_changed: int
    num_removed: int
    num_unchanged: int
    skipped: dict[str, str]


def index(model: Encoder, data: Source, out: Path) -> Indexed:
    """Make pictures searchable, or bring an index up to date: only new and changed pictures are embedded.

    An index belongs to one model and one source. Pictures that the source no longer has are removed from the index.
    When interrupted, run it again: what was embedded so far is kept.

    Args:
        model: the encoder.
        data: the pictures.
        out: folder of the index; made if missing.

    Raises:
        InputError: `out` is no index and not empty, or was made with another model or from another source.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
        MissingExtraError: LanceDB is not installed.
    """
    table = open_table(out)
    known: dict[str, str] = {}
    if table is not None:
        check_model(table, model, out)
        _check_source(table, data, out)
        known = table.digests()
    changes = find_changes(data, known)
    _judge(data, changes)
    if table is None:
        table = create_table(out, Origin(model.name, model.fingerprint, _place(data)), model.embed_dim)
    skipped = changes.broken | _put(table, model, data, changes)
    gone = [key for key in known if key not in changes.digests or key in skipped]
    table.remove(gone)
    if changes.added or changes.changed or gone:
        table.compact()
    return Indexed(
        out=out,
        model=model.name,
        source=data.name,
        num_pictures=len(table),
        num_added=sum(data.key(position) not in skipped for position in changes.added),
        num_changed=sum(data.key(position) not in skipped for position in changes.changed),
        num_removed=len(gone),
        num_unchanged=len(data) - len(changes.added) - len(changes.changed) - len(changes.broken),
        skipped=skipped,
    )


def _put(table: VectorTable, model: Encoder, data: Source, changes: Changes) -> dict[str, str]:
    """Embed new and changed pictures, commit by commit; returns those that turned out unreadable after all."""
    fresh = sorted(changes.added + changes.changed)
    skipped: dict[str, str] = {}
    for start in range(0, len(fresh), _PICTURES_PER_COMMIT):
        embeddings = model.embed(Subset(data, fresh[start : start + _PICTURES_PER_COMMIT], data.name))
        table.put(embeddings.keys, [changes.digests[key] for key in embeddings.keys], embeddings.vectors)
        skipped.update(embeddings.skipped)
    return skipped


def _judge(data: Source, changes: Changes) -> None:
    """Refuse an empty source and one with too many broken pictures, judged as a whole and before any work is done."""
    if len(data) == 0:
        raise InputError("at least one picture to index", f"{data.name} holds none", "check the source")
    ledger = Skipped()
    for key in changes.digests:
        ledger.seen(key)
    for key, reason in changes.broken.items():
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
