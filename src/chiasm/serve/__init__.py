"""Stateful predictors over stateless models: the border between arrays and tensors."""
