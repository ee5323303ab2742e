"""Settings of the loop, the same for every method."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chiasm.core.config import Config
from chiasm.engine.precision import PrecisionChoice


class Settings(Config):
    """How to optimise, how often to look, how often to save.

    Attributes:
        batch_size: pictures per forward pass.
        accumulate: forward passes per optimiser step; contrastive methods see only one pass's pictures at a time.
        lr: peak learning rate for 256 pictures per step; scaled linearly with `batch_size * accumulate`.
        warmup: share of the run over which the learning rate rises.
        final_lr_share: learning rate at the end, as a share of the peak.
        weight_decay: at the start, on matrices only.
        final_weight_decay: at the end.
        betas: shares of the old averages of the gradient and of its square that AdamW keeps.
        clip_norm: largest norm of the whole gradient; 0 leaves it as it is.
        ema_momentum: of the running average of the weights that is kept as the result; 0 keeps the last weights.
        precision: auto takes bfloat16 where the processor has it.
        accelerator: auto takes a GPU where there is one.
        num_probes: how often the on-line evaluation looks in, spread evenly over the run.
        log_every: steps between two lines of the log.
        checkpoint_minutes: between two checkpoints.
    """

    batch_size: int = Field(default=256, gt=1)
    accumulate: int = Field(default=1, gt=0)
    lr: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.1, ge=0, le=1)
    final_lr_share: float = Field(default=0.0, ge=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    final_weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = Field(default=3.0, ge=0)
    ema_momentum: float = Field(default=0.0, ge=0, lt=1)
    precision: PrecisionChoice = "auto"
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    num_probes: int = Field(default=10, ge=0)
    log_every: int = Field(default=10, gt=0)
    checkpoint_minutes: float = Field(default=5.0, gt=0)

    @property
    def peak_lr(self) -> float:
        """Learning rate at the end of the warm-up."""
        return self.lr * self.batch_size * self.accumulate / 256
