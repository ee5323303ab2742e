"""CLIPScore and RefCLIPScore: how well captions go with pictures in the space of a model that knows both.

Paper: Hessel et al., 2021, "CLIPScore: A Reference-free Evaluation Metric for Image Captioning" (arXiv 2104.08718),
    section 3: w = 2.5, captions begin with "A photo depicts". Scores of two models cannot be compared; the paper's are
    those of CLIP ViT-B/32.
Differs: references get the same beginning, as in the authors' own evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

WEIGHT = 2.5
_BEGINNING = "A photo depicts"


def clip_prompt(caption: str) -> str:
    """The sentence that the model is given for a caption."""
    return f"{_BEGINNING} {caption}"


def clip_scores(pictures: Float[np.ndarray, "B D"], captions: Float[np.ndarray, "B D"]) -> Float[np.ndarray, " B"]:
    """CLIPScore of each caption, 0 to 2.5; all vectors are of length 1."""
    return WEIGHT * _cosines(pictures, captions).clip(min=0)


def ref_clip_scores(
    scores: Float[np.ndarray, " B"], captions: Float[np.ndarray, "B D"], references: Sequence[Float[np.ndarray, "_ D"]]
) -> Float[np.ndarray, " B"]:
    """RefCLIPScore: the harmonic mean of CLIPScore and the largest cosine with a reference.

    Args:
        scores: CLIPScore of each caption.
        captions: their vectors of length 1.
        references: vectors of length 1 of the captions that people wrote, at least one for each picture.
    """
    closest = [(several.astype(np.float64) @ one).max() for one, several in zip(captions, references, strict=True)]
    alike = np.maximum(np.array(closest, dtype=np.float64), 0)
    both = scores + alike
    return np.divide(2 * scores * alike, both, out=np.zeros_like(both), where=both > 0)


def _cosines(left: Float[np.ndarray, "B D"], right: Float[np.ndarray, "B D"]) -> Float[np.ndarray, " B"]:
    return np.einsum("bd,bd->b", left.astype(np.float64), right.astype(np.float64))
