"""Making a model smaller; one file per method."""
