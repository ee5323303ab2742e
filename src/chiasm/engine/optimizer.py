"""AdamW, with weight decay on matrices only."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW, Optimizer

from chiasm.engine.settings import Settings
from chiasm.ops.schedules import cosine, warmup_cosine


def make_optimizer(module: nn.Module) -> AdamW:
    """AdamW over all parameters that learn, in two groups.

    Biases, gains, tokens and position tables (one axis, or a leading axis of 1) are not decayed, as is usual for
    transformers.
    """
    decayed, plain = [], []
    for parameter in module.parameters():
        if parameter.requires_grad:
            is_matrix = parameter.ndim > 1 and parameter.shape[0] > 1
            (decayed if is_matrix else plain).append(parameter)
    groups = [{"params": decayed, "decays": True}, {"params": plain, "decays": False}]
    return AdamW(groups, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)


def set_rates(optimizer: Optimizer, settings: Settings, progress: float) -> tuple[float, float]:
    """Set learning rate and weight decay for the next step; returns both."""
    peak = settings.peak_lr
    lr = warmup_cosine(progress, peak, settings.warmup, peak * settings.final_lr_share)
    decay = cosine(progress, settings.weight_decay, settings.final_weight_decay)
    for group in optimizer.param_groups:
        group["lr"] = lr
        group["weight_decay"] = decay if group["decays"] else 0.0
    return lr, decay
