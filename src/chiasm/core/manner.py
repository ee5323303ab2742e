"""`Manner`: how a text is written, where the person who asks has a say in it."""

from __future__ import annotations

from pydantic import Field, model_validator

from chiasm.core.config import Config
from chiasm.core.errors import InputError


class Manner(Config):
    """How to write.

    Attributes:
        num_beams: how many beginnings of a text are kept; 1 takes the most probable token each time. The model's own
            number unless given.
        top_p: draw each token from the fewest most probable ones that hold this share of the probability, instead of
            searching; 1 draws from all.
        temperature: of the draws; below 1 makes the probable more so.
        max_tokens: most tokens of a text; the model's own number unless given, which it does not exceed.
        min_tokens: least tokens; the model's own number unless given.
        seed: of the draws; a picture's text does not depend on the others.
    """

    num_beams: int | None = Field(default=None, ge=1, le=64)
    top_p: float | None = Field(default=None, gt=0, le=1)
    temperature: float = Field(default=1.0, gt=0)
    max_tokens: int | None = Field(default=None, ge=1)
    min_tokens: int | None = Field(default=None, ge=0)
    seed: int = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Manner:
        if self.top_p is not None and self.num_beams is not None:
            raise InputError("num_beams or top_p", "both came", "leave one out: beams search, top_p draws")
        if self.top_p is None and "temperature" in self.model_fields_set:
            raise InputError("top_p with a temperature", "temperature came alone", "give top_p too, 0.9 is usual")
        if None not in (self.min_tokens, self.max_tokens) and (self.min_tokens or 0) > (self.max_tokens or 0):
            came = f"{self.min_tokens} and {self.max_tokens} came"
            raise InputError("min_tokens that do not exceed max_tokens", came, "change one")
        return self


OWN_WAY = Manner()
"""The model's own."""
