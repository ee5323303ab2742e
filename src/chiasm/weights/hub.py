"""Public checkpoints by name: fetched once into the cache that other tools share, read from there ever after.

Only configuration, tokenizer and weights are fetched, never code.
"""

from __future__ import annotations

import re
from pathlib import Path

from chiasm.core.errors import InputError

_NAME = re.compile(r"(?:hf:)?(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_SETTINGS = ("*.json", "merges.txt", "vocab.txt", "spiece.model")
_SAFE = ("*.safetensors",)
_PICKLED = ("pytorch_model.bin", "open_clip_pytorch_model.bin")
# Some repositories keep the same weights for other libraries in folders of their own, gigabytes that nobody here reads.
_OTHERS = ("*/*",)


def is_hub_name(text: str) -> bool:
    """Whether a text has the form of a name on the hub: `organisation/model`, `hf:organisation/model@revision`."""
    return _NAME.fullmatch(text) is not None


def fetch(name: str, *, pickled: bool = False) -> Path:
    """The folder of a public checkpoint in the local cache; what is missing is downloaded, unless that is switched off.

    Args:
        name: as `is_hub_name` accepts it.
        pickled: take pickled weights instead of safetensors.

    Raises:
        InputError: it is not in the cache and cannot be downloaded.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError("a name such as organisation/model", f"{name!r} came", "change it")
    wanted = [*_SETTINGS, *(_PICKLED if pickled else _SAFE)]
    cached = _cached(found["repository"], found["revision"], pickled=pickled)
    if cached is not None:
        return cached
    return _download(found["repository"], found["revision"], wanted)


def _cached(repository: str, revision: str | None, *, pickled: bool) -> Path | None:
    """The folder in the cache, if what is needed is there; nothing is asked of the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None
    endings = _PICKLED if pickled else _SAFE
    return folder if any(any(folder.glob(ending)) for ending in endings) else None


def _download(repository: str, revision: str | None, wanted: list[str]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"the cache {constants.HF_HUB_CACHE}"
    local = "or name the folder of a copy (`./models/...`)"
    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=wanted, ignore_patterns=list(_OTHERS))
    except GatedRepoError:
        raise InputError(
            f"access to {repository}",
            "its owners ask for an agreement first",
            f"accept it on https://huggingface.co/{repository} and log in with `hf auth login`, {local}",
        ) from None
    except RevisionNotFoundError:
        raise InputError(f"a revision of {repository}", f"{revision!r} is none", "check its spelling") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"a model in {where} or on huggingface.co", f"{repository} is neither", f"check its spelling, {local}"
        ) from None
    except OfflineModeIsEnabled:
        raise InputError(
            f"{repository} in {where}",
            "it is not there and HF_HUB_OFFLINE=1 forbids to fetch it",
            f"fetch it once with HF_HUB_OFFLINE=0, {local}",
        ) from None
    except OSError as error:
        reason = " ".join(str(error).split()).split(". ")[0] or type(error).__name__
        raise InputError(
            f"{repository} in {where} or a network to fetch it",
            f"it is not there and huggingface.co cannot be reached ({reason})",
            f"fetch it where there is a network, copy the cache and set HF_HUB_OFFLINE=1, {local}",
        ) from None
    return Path(folder)
