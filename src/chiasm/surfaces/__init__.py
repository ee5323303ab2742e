"""Parse, call, show: the shell and the tour."""
