"""How good a model is, with intervals; one file per evaluation."""

from chiasm.evaluate._raw_pixels import RawPixels

__all__ = ["RawPixels"]
