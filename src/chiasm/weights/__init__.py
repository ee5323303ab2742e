"""Artefacts on disk: save, load, card."""
