"""Pure tensor and array functions: patches, positions, similarity; no state, no modules."""
