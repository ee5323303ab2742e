"""Source formats; one file per format."""
