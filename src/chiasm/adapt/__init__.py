"""Fitting to a task with few labels; one file per method."""
