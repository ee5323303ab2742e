"""Verify a public model: the same pictures and words through chiasm and through transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm.core.errors import ChiasmError, InputError
from chiasm.core.example import Source
from chiasm.core.predictors import Record

if TYPE_CHECKING:
    from chiasm.serve.reference import Agreement


class DisagreementError(ChiasmError):
    """A checkpoint gives other numbers here than where it came from."""


class AgreeingPart(Record):
    """One part of a model and how far it is from the reference's.

    Attributes:
        part: what was compared.
        deviation: largest difference, in double precision.
        largest: largest number in the reference's answer.
    """

    part: str
    deviation: float
    largest: float


class Verified(Record):
    """A checkpoint that answers as where it came from.

    Attributes:
        model: as it was given.
        reference: the class of transformers that it was compared with.
        parts: what was compared.
    """

    model: str
    reference: str
    parts: tuple[AgreeingPart, ...]


def verify(model: str, data: Source, num_pictures: int = 16) -> Verified:
    """Compare a public model here and in transformers, on its real weights.

    Args:
        model: folder or public name of a checkpoint in the layout of transformers, which must be installed.
        data: pictures whose preprocessing is compared.
        num_pictures: how many of them.

    Raises:
        DisagreementError: some part differs by more than rounding can.
    """
    from chiasm.serve.reference import compare_with_reference

    if num_pictures < 1:
        raise InputError("at least one picture", f"{num_pictures} came", "16 is usual")
    reference, agreements = compare_with_reference(model, data, num_pictures)
    wrong = [agreement for agreement in agreements if not agreement.agrees]
    if wrong:
        raise DisagreementError(
            f"the numbers of {reference}",
            f"{model} differs in {', '.join(agreement.part for agreement in wrong)}",
            "do not use it here, and report it",
            details="\n".join(map(_line, agreements)),
        )
    parts = (AgreeingPart(part=one.part, deviation=one.deviation, largest=one.largest) for one in agreements)
    return Verified(model=model, reference=reference, parts=tuple(parts))


def _line(agreement: Agreement) -> str:
    verdict = "agrees" if agreement.agrees else "differs"
    return (
        f"{agreement.part}: {verdict}, by {agreement.deviation:.2g} where the largest number is {agreement.largest:.2g}"
    )
