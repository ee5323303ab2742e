"""Study which sentence around a class's name helps which class, with intervals."""

from __future__ import annotations

from chiasm.evaluate._prompt_study import study

__all__ = ["study"]
