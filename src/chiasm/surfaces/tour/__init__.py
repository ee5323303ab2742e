"""The tour: everything chiasm does, in a few minutes, on pictures that it makes itself; one file per chapter."""

from chiasm.surfaces.tour._run import tour

__all__ = ["tour"]
