"""How good a model is, with intervals; one file per evaluation."""

from chiasm.evaluate._answer import Evaluation, Pages, Result
from chiasm.evaluate._raw_pixels import RawPixels
from chiasm.evaluate._scores import Judgement, Scores

__all__ = ["Evaluation", "Judgement", "Pages", "RawPixels", "Result", "Scores"]
