"""How to learn without labels; one file per method."""
