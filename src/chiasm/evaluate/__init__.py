"""How good a model is, with intervals; one file per evaluation."""
