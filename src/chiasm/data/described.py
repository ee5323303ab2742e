"""Classes known by their names: sentences about each, read by a model, make a classifier of pictures.

Used wherever classes are told in words: to classify, to explain, to evaluate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from chiasm.core.errors import InputError
from chiasm.core.predictors import Classifier, Encoder, TextEncoder
from chiasm.data.prompts import ClassNames, Templates, check_names, check_templates, prompts
from chiasm.ops.zero_shot import SigmoidOfCosines, SoftmaxOfCosines, class_vectors

# Sentences embedded at once: 8,192 vectors of 1,024 numbers are 32 MB.
_PROMPTS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Described:
    """A classifier made of words.

    Attributes:
        names: of the classes, in the order of the probabilities.
        vectors: of length 1, what the names mean to the model.
        classifier: reads vectors of length 1.
        independent: True where each class is judged on its own (SigLIP), so that probabilities need not sum to 1.
    """

    names: tuple[str, ...]
    vectors: Float[np.ndarray, "K D"]
    classifier: Classifier
    independent: bool


def describe(model: Encoder, labels: ClassNames, templates: Templates, otherwise: str, least: int = 2) -> Described:
    """Make a classifier of the names of classes.

    Args:
        model: the encoder.
        labels: names.
        templates: sentences around each name.
        otherwise: what the error says to do where the model reads no text.
        least: how many names it takes where one of them is always right, as with CLIP.

    Raises:
        InputError: the model reads no text, or the names or templates are none.
    """
    text = reader(model, otherwise)
    names = check_names(labels, "labels")
    templates = check_templates(templates, "templates")
    if text.logit_bias is None and len(names) < least:
        raise InputError(
            "at least two classes to choose from", f"only {', '.join(names)} came", "name another class too"
        )
    vectors = name_vectors(text, names, templates)
    if text.logit_bias is None:
        return Described(names, vectors, SoftmaxOfCosines(vectors, text.logit_scale), independent=False)
    return Described(names, vectors, SigmoidOfCosines(vectors, text.logit_scale, text.logit_bias), independent=True)


def reader(model: Encoder, otherwise: str) -> TextEncoder:
    """The side of a model that reads text; `otherwise` says in the error what to do without one.

    Raises:
        InputError: there is none.
    """
    if model.text is None:
        raise InputError("a model that reads text", f"{model.name} sees pictures only", otherwise)
    return model.text


def name_vectors(text: TextEncoder, names: Sequence[str], templates: Templates) -> Float[np.ndarray, "K D"]:
    """One vector per class, the mean over its sentences; some classes at a time, since 80 sentences each are many."""
    step = max(_PROMPTS_AT_ONCE // len(templates), 1)
    parts = []
    for start in range(0, len(names), step):
        some = names[start : start + step]
        vectors = text.embed([prompt for name in some for prompt in prompts(name, templates)])
        parts.append(class_vectors(vectors.reshape(len(some), len(templates), vectors.shape[1])))
    return np.concatenate(parts)
