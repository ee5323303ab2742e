"""Where on this machine things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from chiasm.core.files import expanded

VARIABLE = "CHIASM_CACHE"


def cache_folder() -> Path:
    """The folder for them: `$CHIASM_CACHE`, else `chiasm` in the person's cache folder (`$XDG_CACHE_HOME`, `~/.cache`).

    An XDG folder that is no absolute path is passed over, as the XDG base directory specification asks.

    Raises:
        InputError: the variable names the home folder of nobody.
    """
    own = os.environ.get(VARIABLE, "")
    if own.strip():
        return expanded(own)
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else expanded("~/.cache")) / "chiasm"
