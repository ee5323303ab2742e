"""Trunk and heads wired together."""
