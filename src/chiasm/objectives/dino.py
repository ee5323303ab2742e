"""DINO: a student's view of a part of a picture should get the prototypes that its own average gives to the whole.

Paper: Caron, Touvron, Misra, Jegou, Mairal, Bojanowski, Joulin, "Emerging Properties in Self-Supervised Vision
Transformers", 2021, arXiv:2104.14294, section 3, algorithm 1 and appendix C.
Differs: see `objectives._crops` for the views of small pictures and `objectives._self_distillation` for what follows
the number of pictures. Prototypes that wait take part in the gradient's norm.
"""

from __future__ import annotations

import torch

from chiasm.core.protocols import Losses, Trunk
from chiasm.core.views import Views, ViewSpec
from chiasm.losses.dino import dino_loss
from chiasm.objectives._crops import NUM_GLOBAL, stacked
from chiasm.objectives._self_distillation import SelfDistillation, Settings, figures


class Config(Settings):
    """Settings of DINO."""

    def build(self, trunk: Trunk) -> Dino:
        """Wire the objective around a trunk; any will do."""
        return Dino(trunk, self)


class Dino(SelfDistillation):
    """Two global views for the teacher, all views for the student."""

    def __init__(self, trunk: Trunk, settings: Config) -> None:
        super().__init__(trunk, settings)
        self.settings = settings

    def views(self) -> tuple[ViewSpec, ...]:
        """Two global views, then the local ones."""
        return self.settings.crops.views(self.trunk, "usual")

    def forward(self, batch: Views, progress: float) -> Losses:
        """Cross entropy of every view with every other one that the teacher saw."""
        groups = stacked(batch, self.trunk)
        with torch.no_grad():
            taught = self._taught(self.teacher_trunk(groups[0]))
        targets = self.targets(taught, self.settings.teacher_temperature_at(progress))
        vectors = [self.pool(features) for features in self.trunk.encode_together(groups)]
        # The head sees all crops at once, whatever their size was.
        scores = self.head(torch.cat(vectors)).unflatten(0, (len(batch.images), -1))
        targets = targets.unflatten(0, (NUM_GLOBAL, -1))
        loss = dino_loss(scores, targets, self.settings.student_temperature)
        return Losses(
            total=loss, embeddings=vectors[0].detach(), terms={"dino": loss.detach(), **figures(targets, loss)}
        )
