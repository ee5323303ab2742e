"""The embedded world: a procedural picture generator with full ground truth."""
