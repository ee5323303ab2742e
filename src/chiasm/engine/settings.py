"""Settings of the loop, the same for every method."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from chiasm.core.config import Config
from chiasm.engine.precision import PrecisionChoice

Strategy = Literal["auto", "ddp", "fsdp"]
ClipBy = Literal["whole", "part", "parameter"]
_FREE = ("accelerator", "strategy", "recompute", "num_probes", "log_every", "checkpoint_minutes")


class Settings(Config):
    """How to optimise, how often to look, how often to save.

    Attributes:
        batch_size: pictures per forward pass, of all processes together.
        accumulate: forward passes per optimiser step; contrastive methods see only one pass's pictures at a time.
        lr: peak learning rate for 256 pictures per step.
        lr_scaling: how it grows with `batch_size * accumulate`: linear, or with the root (DINOv2).
        warmup: share of the run over which the learning rate rises.
        final_lr_share: learning rate at the end, as a share of the peak.
        weight_decay: at the start, on matrices only.
        final_weight_decay: at the end.
        betas: shares of the old averages of the gradient and of its square that AdamW keeps.
        clip_norm: largest norm of a gradient; 0 leaves it as it is.
        clip_by: what is held to it: the whole gradient, that of each part of the objective (DINOv2) or that of each
            parameter (DINO).
        ema_momentum: of the running average of the weights that is kept as the result; 0 keeps the last weights.
        precision: auto takes bfloat16 where the processor has it.
        accelerator: auto takes a GPU where there is one.
        strategy: how several processes share the weights: ddp, a copy each (auto), or fsdp, a part each.
        recompute: compute blocks of the trunk twice, to save memory.
        num_probes: how often the on-line evaluation looks in, spread evenly over the run.
        log_every: steps between two lines of the log.
        checkpoint_minutes: between two checkpoints.
    """

    batch_size: int = Field(default=256, gt=1)
    accumulate: int = Field(default=1, gt=0)
    lr: float = Field(default=1e-3, gt=0)
    lr_scaling: Literal["linear", "root"] = "linear"
    warmup: float = Field(default=0.1, ge=0, le=1)
    final_lr_share: float = Field(default=0.0, ge=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    final_weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[float, ...] = Field(default=(0.9, 0.95), min_length=2, max_length=2)
    clip_norm: float = Field(default=3.0, ge=0)
    clip_by: ClipBy = "whole"
    ema_momentum: float = Field(default=0.0, ge=0, lt=1)
    precision: PrecisionChoice = "auto"
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    strategy: Strategy = "auto"
    recompute: bool = False
    num_probes: int = Field(default=10, ge=0)
    log_every: int = Field(default=10, gt=0)
    checkpoint_minutes: float = Field(default=5.0, gt=0)

    @property
    def peak_lr(self) -> float:
        """Learning rate at the end of the warm-up."""
        more = self.batch_size * self.accumulate / 256
        return self.lr * (math.sqrt(more) if self.lr_scaling == "root" else more)

    def decisive(self) -> Settings:
        """Without what may change when a run goes on, since the weights do not depend on it, as it is by default."""
        free = {name: type(self).model_fields[name].default for name in _FREE}
        return self.model_copy(update=free)
