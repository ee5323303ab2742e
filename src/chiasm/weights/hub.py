"""Public checkpoints by name: fetched once into the cache that other tools share, read from there ever after.

Only settings, tokenizer and one set of weights are fetched: no code, and none of the same weights for other libraries
or in other precisions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from chiasm.core.errors import InputError
from chiasm.weights.folder import SAFE_SUFFIX, forms, refused, weights_in

_NAME = re.compile(
    r"(?:hf:)?(?P<repository>[A-Za-z0-9](?:[\w.-]*\w)?/\w(?:[\w.-]*\w)?)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII
)
# The hub has no such names, and its library refuses them.
_IMPOSSIBLE = re.compile(r"--|\.\.|\.git$")
_LONGEST = 96
_LOCAL = "or name the folder of a copy (`./models/...`)"
_BESIDE = ("*.json", "merges.txt", "vocab.txt", "spiece.model", "README.md")


def is_hub_name(text: str) -> bool:
    """Whether a text has the form of a name on the hub: `organisation/model`, `hf:organisation/model@revision`."""
    found = _NAME.fullmatch(text)
    if found is None or len(found["repository"]) > _LONGEST:
        return False
    return not any(_IMPOSSIBLE.search(part) for part in (found["repository"], found["revision"] or ""))


def cached(name: str, *, pickled: bool = False) -> Path | None:
    """The folder of a public checkpoint in the local cache; None if it is not there with all that is needed.

    Nothing is asked of the network.

    Args:
        name: as `is_hub_name` accepts it.
        pickled: take pickled weights instead of safetensors.
    """
    folder = _snapshot(*_parts(name), pickled=pickled)
    return folder if folder is not None and _is_whole(folder, pickled=pickled) else None


def fetch(name: str, *, pickled: bool = False) -> Path:
    """The folder of a public checkpoint in the local cache, downloaded if it is not there.

    Args:
        name: as `is_hub_name` accepts it.
        pickled: take pickled weights instead of safetensors.

    Raises:
        InputError: it is not in the cache and cannot be downloaded, or has no weights that may be read.
    """
    return cached(name, pickled=pickled) or _download(name, pickled=pickled)


def wanted(names: Iterable[str], *, pickled: bool = False) -> tuple[str, ...]:
    """The files of a repository that are read: settings, tokenizer and one set of weights; empty without weights.

    Args:
        names: of all files of the repository.
        pickled: take pickled weights instead of safetensors.
    """
    # Folders hold the same weights for other libraries, or parts of pipelines.
    top = sorted(name for name in names if "/" not in name)
    weights: list[str] = []
    for form in forms(pickled=pickled):
        shards = [form.index, *(name for name in top if form.is_shard(name))]
        weights = [form.weights] if form.weights in top else shards if form.index in top else []
        if weights:
            break
    single = [] if pickled else [name for name in top if name.endswith(SAFE_SUFFIX)]
    weights = weights or (single if len(single) == 1 else [])
    beside = (name for name in top if any(fnmatchcase(name, pattern) for pattern in _BESIDE))
    return tuple(dict.fromkeys((*beside, *weights))) if weights else ()


def _parts(name: str) -> tuple[str, str | None]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError("a name such as organisation/model", f"{name!r} came", "change it")
    return found["repository"], found["revision"]


def _snapshot(repository: str, revision: str | None, *, pickled: bool) -> Path | None:
    """The folder in the cache that holds at least one of the files; they may be links to where the content lies."""
    from huggingface_hub import try_to_load_from_cache

    known = forms(pickled=pickled)
    names = dict.fromkeys(name for form in known for name in (form.settings, form.weights, form.index))
    for name in names:
        path = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(path, str):
            return Path(path).parent
    return None


def _is_whole(folder: Path, *, pickled: bool) -> bool:
    weights = weights_in(folder, pickled=pickled)
    return weights is not None and weights.settings is not None and not weights.missing


def _download(name: str, *, pickled: bool) -> Path:
    from huggingface_hub import HfApi, constants, is_offline_mode, snapshot_download

    repository, revision = _parts(name)
    there = "it is not there" if _snapshot(repository, revision, pickled=pickled) is None else "only a part is there"
    if is_offline_mode():
        raise InputError(
            f"{repository} in the cache {constants.HF_HUB_CACHE}",
            f"{there} and HF_HUB_OFFLINE=1 forbids to fetch it",
            f"fetch it once with HF_HUB_OFFLINE=0, {_LOCAL}",
        )
    with _explained(repository, revision, there):
        # Unlike the call that lists files, this one does not try for half a minute where there is no network.
        found = HfApi().model_info(repository, revision=revision).siblings or []
    names = [file.rfilename for file in found]
    files = wanted(names, pickled=pickled)
    if not files:
        raise _nothing_in(name, names, pickled=pickled)
    with _explained(repository, revision, there):
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(files)))


@contextmanager
def _explained(repository: str, revision: str | None, there: str) -> Iterator[None]:
    """Tell in one line why a hub did not give what was asked for.

    Args:
        repository: that was asked for.
        revision: of it.
        there: what the cache has of it, in words.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    where = f"the cache {constants.HF_HUB_CACHE}"
    try:
        yield
    except GatedRepoError:
        raise InputError(
            f"access to {repository}",
            "its owners ask for an agreement first",
            f"accept it on https://huggingface.co/{repository} and log in with `hf auth login`, {_LOCAL}",
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"a revision of {repository}", f"{revision!r} is none", "check its spelling") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"a model in {where} or on huggingface.co", f"{repository} is neither", f"check its spelling, {_LOCAL}"
        ) from None
    except Exception as error:
        # What a network fails with belongs to whichever library the hub's own is built on.
        reason = " ".join(str(error).split()).split(". ")[0] or type(error).__name__
        raise InputError(
            f"{repository} in {where} or a network to fetch it",
            f"{there} and huggingface.co cannot be reached ({reason})",
            f"fetch it where there is a network, copy the cache and set HF_HUB_OFFLINE=1, {_LOCAL}",
        ) from None


def _nothing_in(name: str, names: Iterable[str], *, pickled: bool) -> InputError:
    """What to say of a repository without weights, or without those that may be read."""
    other = wanted(names, pickled=not pickled)
    if other and not pickled:
        return refused(other[-1], name)
    do = f"name {name} itself" if other else "choose another model"
    kind = "pickled weights" if pickled else "weights as safetensors"
    return InputError(f"{kind} in {name}", "it has none", do)
