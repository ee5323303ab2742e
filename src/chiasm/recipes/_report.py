"""What a recipe answers: what its run did, or what it would cost."""

from __future__ import annotations

from chiasm.core.predictors import Record


class TrainingReport(Record):
    """What a training run did.

    Attributes:
        model: folder of the artefact.
        trunk_parameters: numbers in the trunk.
        steps, minutes, images_per_second: of training.
        skipped: pictures that could not be read; they are listed in `skipped.jsonl`.
        metrics: the last loss and the last on-line evaluation.
        notes: what to know before the metrics are believed; usually none.
    """

    model: str
    objective: str
    trunk_parameters: int
    steps: int
    minutes: float
    images_per_second: float
    skipped: int
    metrics: dict[str, float]
    notes: tuple[str, ...] = ()


class BatchCost(Record):
    """What steps with a batch of one size cost.

    Attributes:
        batch_size: pictures per forward pass.
        images_per_second: over a few steps with the real data, after the first ones.
        waiting_for_data: share of that time.
        peak_memory_mb: most memory so far: of tensors on a GPU, of the whole process elsewhere; None where the system
            does not tell.
        hours: of the whole run with it, over as many pictures.
    """

    batch_size: int
    images_per_second: float
    waiting_for_data: float
    peak_memory_mb: float | None
    hours: float


class CostEstimate(TrainingReport):
    """What a run would do, told from a few of its steps; `model`, `steps` and `minutes` are those it would have.

    Attributes:
        learning_parameters: numbers that learn: in the trunk and in the heads.
        parameters: those of teachers too, also of one that is in no checkpoint.
        epochs: how often each picture would be seen.
        gigaflops_per_picture: floating-point operations of forward and backward pass, counted: matrix products,
            convolutions and attention.
        teraflops_per_step: the same of an optimiser step.
        batches: measured with half the batch and with the one that was asked for.
    """

    learning_parameters: int
    parameters: int
    epochs: float
    gigaflops_per_picture: float
    teraflops_per_step: float
    batches: tuple[BatchCost, ...]
