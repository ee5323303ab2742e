"""The pictures that the chapters share."""

from __future__ import annotations

PRETRAINING = "world:train?size=64&close_up=1&language=0&length=6000"
"""What the trunk learns from; its labels are not used."""
SPLITS = "world:?size=64&close_up=1&language=0&length=1500&seed=1"
"""Labelled pictures that judge the trunk; another seed, so that none of them was seen in training."""
