"""Features in, one kind of answer out."""
