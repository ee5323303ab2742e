"""Small modules that trunks and heads are built from."""
