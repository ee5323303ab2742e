"""Sentences about classes that begin with vectors instead of words, for whoever learns these.

Paper: Zhou et al., 2021, "Learning to Prompt for Vision-Language Models" (arXiv 2109.01134), section 3.2: [V]1 [V]2 ...
    [V]M [CLASS], the class at the end; the vectors shared by all classes or of each class its own.
Differs: a full stop follows the name, as in "a photo of a cat.".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.models.text_encoder import TextParts


class PromptedClasses(nn.Module):
    """Vectors of classes from sentences that begin with `context`, which alone learns.

    Args:
        parts: what reads the sentences; none of its weights change.
        names: of the classes.
        context: the vectors that stand before the names: those of all classes, or a set for each.

    Raises:
        InputError: the sentences do not fit into the model's context.
    """

    def __init__(
        self, parts: TextParts, names: Sequence[str], context: Float[Tensor, "_ D"] | Float[Tensor, "K _ D"]
    ) -> None:
        super().__init__()
        self.context = nn.Parameter(context)
        self._encoder = parts.encoder
        tokens, start = _tokens(parts, names)
        num_context = context.shape[-2]
        placed = torch.cat([tokens[:, :start], tokens[:, :1].expand(-1, num_context), tokens[:, start:]], dim=1)
        fitting = placed[:, : tokens.shape[1]]
        _check(parts, tokens, placed, fitting, names)
        # What a model that looks back writes after the token that it is read at cannot matter.
        self._tokens = fitting[:, : int(parts.encoder.lengths(fitting).max())].to(parts.device)
        with torch.no_grad():
            self._vectors = parts.encoder.trunk.token_embedding(self._tokens)
        self._start = start

    def forward(self) -> Float[Tensor, "K D"]:
        """One vector of length 1 per class."""
        end = self._start + self.context.shape[-2]
        context = self.context.expand(len(self._tokens), -1, -1)
        sentences = torch.cat([self._vectors[:, : self._start], context, self._vectors[:, end:]], dim=1)
        encoder = self._encoder
        pooled = encoder.pool(encoder.trunk.encode(sentences), self._tokens)
        return functional.normalize(encoder.projection(pooled), dim=1)


def _tokens(parts: TextParts, names: Sequence[str]) -> tuple[Int64[Tensor, "K T"], int]:
    """Tokens of the names, and at which place the first of them stands: what an empty text begins with comes before."""
    sentences = [f"{name.replace('_', ' ')}." for name in names]
    tokens = parts.tokenizer(["", *sentences])
    differs = (tokens != tokens[:1]).any(dim=0).tolist()
    return tokens[1:], differs.index(True) if any(differs) else 0


def _check(
    parts: TextParts,
    tokens: Int64[Tensor, "K _"],
    placed: Int64[Tensor, "K _"],
    fitting: Int64[Tensor, "K _"],
    names: Sequence[str],
) -> None:
    """Refuse names that the context pushes out of the model's reach: only what short texts are filled up with may go.

    Raises:
        InputError: with the first of them.
    """
    pool, length = parts.encoder.pool, tokens.shape[1]
    rows = torch.arange(len(tokens))
    cut_words = (placed[:, length:] != tokens[:, -1:]).any(dim=1)
    # A pool may read what a trunk puts after the text; that is there however long the text is.
    read, reads = (some[rows, pool.places(some).clamp(max=length - 1)] for some in (tokens, fitting))
    wrong = (cut_words | (read != reads)).nonzero()
    if len(wrong):
        raise InputError(
            f"names that leave room for {placed.shape[1] - length} vectors in {length} tokens",
            f"{names[int(wrong[0, 0])]!r} does not",
            "shorten it, or learn fewer vectors",
        )
