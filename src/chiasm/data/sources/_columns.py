"""Names under which tables, shards and saved data sets keep labels and captions, and how a value becomes captions."""

from __future__ import annotations

from typing import Any

# In the order of preference where there are several.
LABEL_NAMES = ("label", "cls", "class", "class_name", "category", "target")
CAPTION_NAMES = ("captions", "caption", "text", "sentences", "sentence", "description")


def captions_in(value: Any) -> tuple[str, ...]:
    """The captions that one value holds: a text or a list of texts; blank ones and whatever is no text are left out."""
    values = value if isinstance(value, list) else [value]
    return tuple(text.strip() for text in values if isinstance(text, str) and text.strip())
