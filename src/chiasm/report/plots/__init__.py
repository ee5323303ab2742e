"""Plots as blocks of a page: curves, bars with intervals, confusion matrices, reliability, maps with thumbnails.

Every plot writes its own alternative text from its numbers, so that a reader who does not see it learns the same.
"""

from chiasm.report.plots.bar import Bar, bars
from chiasm.report.plots.line import Series, curves
from chiasm.report.plots.matrix import confusion
from chiasm.report.plots.plot import Plot
from chiasm.report.plots.reliability import reliability
from chiasm.report.plots.scatter import scatter_map

__all__ = ["Bar", "Plot", "Series", "bars", "confusion", "curves", "reliability", "scatter_map"]
