"""Where examples come from: sources, decoding, augmentation, loaders, the embedded world."""
