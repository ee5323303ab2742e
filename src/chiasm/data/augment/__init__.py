"""Augmented views: one sampler of parameters, several executions."""
