"""Pictures in, Features out; one file per family."""
