"""Records in, one self-contained page out."""
