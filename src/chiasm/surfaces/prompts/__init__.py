"""Sentences about classes; one file per command."""
