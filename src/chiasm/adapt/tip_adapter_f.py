"""Tip-Adapter-F: the examples that Tip-Adapter keeps, moved by training to where they tell classes apart best.

Paper: Zhang et al., 2021, "Tip-Adapter: Training-free CLIP-Adapter for Better Vision-Language Modeling" (arXiv
    2111.03930), section 3.2: the keys begin as the examples and learn by cross entropy, all else stays; 20 epochs of
    AdamW with a rate of 0.001 that falls with a cosine, 256 pictures a step.
Differs: pictures are encoded once, without random crops and flips; alpha and beta are given, not searched afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch.nn import functional

from chiasm.adapt._cache import CacheClassifier, precise_units
from chiasm.core.config import Config as BaseConfig
from chiasm.core.predictors import NamedClasses
from chiasm.core.seeds import stream
from chiasm.ops.schedules import cosine


class Config(BaseConfig):
    """Settings of Tip-Adapter-F.

    Attributes:
        alpha: how much examples count beside names.
        beta: how quickly an example counts less the farther it is.
        epochs: times that every example is learnt from.
        batch_size: examples a step.
        lr: rate at the start.
        weight_decay: of the keys.
        eps: of AdamW; far above the library's own, so that numbers of which little is known move little.
        seed: orders the examples.
    """

    alpha: float = Field(default=1.0, ge=0)
    beta: float = Field(default=5.5, gt=0)
    epochs: int = Field(default=20, gt=0)
    batch_size: int = Field(default=256, gt=0)
    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    eps: float = Field(default=1e-4, gt=0)
    seed: int = Field(default=0, ge=0)

    def build(self) -> TipAdapterF:
        return TipAdapterF(self)


@dataclass(frozen=True, slots=True)
class TipAdapterF:
    """Trains the keys."""

    config: Config

    def fit_named(
        self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], named: NamedClasses
    ) -> CacheClassifier:
        """Begin with the examples as keys, and train them; a class without examples is known by its name."""
        config, units, classes = self.config, precise_units(vectors), precise_units(named.vectors)
        scale = named.text.logit_scale
        pictures, wanted = torch.from_numpy(units).float(), torch.from_numpy(labels).long()
        by_name = scale * pictures @ torch.from_numpy(classes).float().T
        values = functional.one_hot(wanted, len(classes)).float()
        keys = pictures.clone().requires_grad_()
        optimizer = torch.optim.AdamW([keys], lr=config.lr, eps=config.eps, weight_decay=config.weight_decay)
        num_batches = -(-len(units) // config.batch_size)
        for epoch in range(config.epochs):
            order = torch.from_numpy(stream(config.seed, "tip-adapter", epoch).permutation(len(units)))
            for place, rows in enumerate(order.split(config.batch_size)):
                done = (epoch * num_batches + place) / (config.epochs * num_batches)
                optimizer.param_groups[0]["lr"] = cosine(done, config.lr, 0.0)
                found = torch.exp(-config.beta * (1 - pictures[rows] @ keys.T)) @ values
                loss = functional.cross_entropy(by_name[rows] + config.alpha * found, wanted[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        trained = keys.detach().double().numpy()
        return CacheClassifier(trained, labels, classes, scale, config.alpha, config.beta)
