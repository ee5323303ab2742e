"""Loss functions: one loss, one file, one oracle test."""
