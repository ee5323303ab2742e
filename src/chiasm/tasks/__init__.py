"""What a person asks of a picture; one typed function per file, and its signature is every surface."""
