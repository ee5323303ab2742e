"""chiasm: one trunk, many heads, every surface."""

__version__ = "0.1.0"
