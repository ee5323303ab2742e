"""Tokens of our own vocabularies that mean no words; `data.vocabulary` puts them first."""

from __future__ import annotations

PADDING, START, END, ANSWER = MARKS = ("[PAD]", "[START]", "[END]", "[ANSWER]")
"""Their numbers are their places here."""
