"""`python -m chiasm`, where the command is not on the path."""

from __future__ import annotations

from chiasm.surfaces.cli import main

main()
