"""A CLIP small enough to be made in a moment, saved as transformers saves one, with a tokenizer of its own."""

from __future__ import annotations

from pathlib import Path

import transformers
from references import redrawn
from vocabularies import clip_files


def save_tiny_clip(folder: Path, image_size: int = 32) -> Path:
    """Write the files of a CLIP whose every weight is random."""
    folder.mkdir(parents=True, exist_ok=True)
    words = clip_files(folder)
    end = words["<|endoftext|>"]
    sides = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = transformers.CLIPConfig(
        vision_config={**sides, "image_size": image_size, "patch_size": 8},
        text_config={
            **sides,
            "vocab_size": len(words),
            "max_position_embeddings": 24,
            "eos_token_id": end,
            "bos_token_id": words["<|startoftext|>"],
            "pad_token_id": end,
        },
        projection_dim=24,
    )
    redrawn(transformers.CLIPModel(config)).float().save_pretrained(folder)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"shortest_edge": image_size}
    processor = transformers.CLIPImageProcessorPil(size=size, crop_size={"height": image_size, "width": image_size})
    processor.save_pretrained(folder)
    return folder
