"""Complete runs as functions, each with its lab note; one file per recipe."""
