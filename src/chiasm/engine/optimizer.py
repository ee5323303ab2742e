"""AdamW, with weight decay on matrices only, and with the rates that an objective asks for."""

from __future__ import annotations

from collections.abc import Sequence

from torch.optim import AdamW, Optimizer

from chiasm.core.rates import LearningGroup
from chiasm.engine.settings import Settings
from chiasm.ops.schedules import cosine, warmup_cosine


def make_optimizer(learning: Sequence[LearningGroup], settings: Settings) -> AdamW:
    """AdamW over groups of parameters, each split in two: decayed and not.

    Biases, gains, tokens and position tables (one axis, or a leading axis of 1) are not decayed, as is usual for
    transformers.
    """
    groups = []
    for group in learning:
        decayed, plain = [], []
        for parameter in group.parameters:
            is_matrix = parameter.ndim > 1 and parameter.shape[0] > 1
            (decayed if is_matrix else plain).append(parameter)
        rates = {"lr_scale": group.lr_scale, "waits": group.waits, "rises": group.rises}
        parts = ((decayed, True), (plain, False))
        groups += [{"params": params, "decays": decays, **rates} for params, decays in parts if params]
    # Fused: one pass over weights, gradients and averages, 3 to 7 times as fast on a CPU as one for each operation.
    slow, slower = settings.betas
    return AdamW(groups, lr=0.0, betas=(slow, slower), weight_decay=0.0, fused=True)


def set_rates(optimizer: Optimizer, settings: Settings, progress: float) -> tuple[float, float]:
    """Set learning rate and weight decay for the next step; returns those of a group without rates of its own."""
    peak = settings.peak_lr
    lr = warmup_cosine(progress, peak, settings.warmup, peak * settings.final_lr_share)
    decay = cosine(progress, settings.weight_decay, settings.final_weight_decay)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"] * _share_learned(progress, group["waits"], group["rises"])
        group["weight_decay"] = decay if group["decays"] else 0.0
    return lr, decay


def _share_learned(progress: float, waits: float, rises: float) -> float:
    """What parameters that wait learn of what the others do."""
    since = progress - waits
    if since < 0:
        return 0.0
    return min(since / rises, 1.0) if rises else 1.0
