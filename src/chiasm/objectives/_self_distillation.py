"""What DINO and DINOv2 share: a student, a teacher that follows it, and prototypes on which both should agree.

Paper: Caron et al., 2021, arXiv 2104.14294, section 3 and appendix C.
Differs: `fitted` chooses prototypes, temperature, momentum and what keeps the teacher from collapse by the number of
pictures, where the papers' are those of a million and more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import TypeVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from chiasm.core.features import Features
from chiasm.core.protocols import Objective, ObjectiveConfig, Trunk
from chiasm.core.rates import LearningGroup
from chiasm.heads import pool as pools
from chiasm.heads import prototypes
from chiasm.losses.dino import entropy
from chiasm.losses.targets import AnyTargets, Balanced, Centred
from chiasm.objectives._crops import Crops
from chiasm.objectives._teacher import follow, teacher_of
from chiasm.ops.schedules import cosine

PROTOTYPES = ((20_000, 1024), (50_000, 2048), (100_000, 4096), (200_000, 16_384), (500_000, 32_768))
"""Most pictures, and how many prototypes suffice for them; beyond the last, the papers' number."""
FEW, MANY = 100_000, 1_000_000
"""Numbers of pictures between which temperature and momentum go from the one end to the other, by the logarithm."""
SHARP, FAST = 0.01, 0.95
"""The teacher's temperature and momentum for few pictures. They mean few steps: a sharp teacher tells pictures apart
from the first step on, and one that follows quickly gets better within the run (docs/results.md). The papers' teachers
have hundreds of thousands of steps."""
MOST_BALANCED = 100_000
"""Up to so many pictures Sinkhorn-Knopp stands in for centring, which needs many steps to find its balance: in short
runs it left the teacher nearly uniform, or with few prototypes, depending on the temperature."""
UNIFORM_SHARE, SAME_KL = 0.99, 0.01
"""Beyond these the teacher gives all prototypes alike, and the student has learned it."""
FEWEST_IN_USE = 1.5


class Settings(ObjectiveConfig):
    """Settings that both methods have.

    Attributes:
        crops: the views of a picture.
        pool: which tokens become the vector; the class token where there is one.
        head: vectors to scores for prototypes.
        targets: what keeps the teacher from giving all pictures one prototype, or all alike: centring or sinkhorn.
        student_temperature: divides the student's scores.
        first_teacher_temperature: divides the teacher's, at the start; never above `teacher_temperature`.
        teacher_temperature: divides the teacher's after the warm-up; lower is sharper.
        temperature_warmup: share of the run over which the teacher's temperature changes.
        momentum: share of the teacher that stays at a step, at the start; rises to 1 by half a cosine.
        last_layer_waits: share of the run during which the prototypes do not learn; the papers' one epoch of 100.
    """

    crops: Crops = Crops()
    pool: pools.Config = pools.Config(by=pools.ByClassOrMean())
    head: prototypes.Config = prototypes.Config()
    targets: AnyTargets = Centred()
    student_temperature: float = Field(default=0.1, gt=0)
    first_teacher_temperature: float = Field(default=0.04, gt=0)
    teacher_temperature: float = Field(default=0.07, gt=0)
    temperature_warmup: float = Field(default=0.3, ge=0, le=1)
    momentum: float = Field(default=0.996, ge=0, le=1)
    last_layer_waits: float = Field(default=0.01, ge=0, lt=1)

    def teacher_temperature_at(self, progress: float) -> float:
        """The teacher's temperature when a share of the run is done."""
        first = min(self.first_teacher_temperature, self.teacher_temperature)
        done = min(progress / self.temperature_warmup, 1.0) if self.temperature_warmup else 1.0
        return first + (self.teacher_temperature - first) * done


SettingsT = TypeVar("SettingsT", bound=Settings)


def fitted(settings: SettingsT, num_pictures: int) -> SettingsT:
    """Settings with what was not given chosen by the number of pictures: prototypes, temperature, momentum, targets.

    Few pictures cannot keep many prototypes apart, need a sharper teacher, and see fewer steps for it to follow.
    """
    share = math.log(max(num_pictures, 1) / FEW) / math.log(MANY / FEW)
    share = min(max(share, 0.0), 1.0)
    usual = type(settings)()
    chosen = {
        "head": fitted_head(settings.head, num_pictures),
        "teacher_temperature": round(SHARP + (usual.teacher_temperature - SHARP) * share, 4),
        "momentum": round(FAST + (usual.momentum - FAST) * share, 5),
        "targets": Balanced() if num_pictures <= MOST_BALANCED else settings.targets,
    }
    given = settings.model_fields_set - {"head"}
    return settings.model_copy(update={name: value for name, value in chosen.items() if name not in given})


def fitted_head(head: prototypes.Config, num_pictures: int) -> prototypes.Config:
    """A head with as many prototypes as so many pictures can keep apart, unless their number was given."""
    if "num_prototypes" in head.model_fields_set:
        return head
    usual = type(head)().num_prototypes
    number = next((number for most, number in PROTOTYPES if num_pictures <= most), usual)
    return head.model_copy(update={"num_prototypes": number})


class SelfDistillation(Objective):
    """Student and teacher, each a trunk, a pool and a head.

    Args:
        trunk: the student's.
        settings: of the method.

    Attributes:
        pool, head: the student's.
        teacher_trunk, teacher_pool, teacher_head: the teacher's; they learn nothing by gradients.
        targets: the teacher's scores to distributions over prototypes.
    """

    def __init__(self, trunk: Trunk, settings: Settings) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = settings.pool.build(trunk.embed_dim)
        self.head = settings.head.build(self.pool.out_dim)
        self.teacher_trunk = teacher_of(self.trunk)
        self.teacher_pool = teacher_of(self.pool)
        self.teacher_head = teacher_of(self.head)
        self.targets = settings.targets.build(settings.head.num_prototypes)
        self._shared = settings

    @property
    def kept(self) -> Trunk:
        """The teacher's trunk, an average of the student's, which is better throughout training."""
        return self.teacher_trunk

    @property
    def kept_pool(self) -> nn.Module:
        """The teacher's, which belongs to its trunk."""
        return self.teacher_pool

    def groups(self) -> tuple[LearningGroup, ...]:
        """Trunk, what lies between, and the prototypes, which wait."""
        return (*self._trunk_groups(), *self._head_groups((self.head,)))

    def after_step(self, progress: float) -> None:
        """Let the teacher follow the student."""
        momentum = cosine(progress, self._shared.momentum, 1.0)
        for teacher, student in self._pairs():
            follow(teacher, student, momentum)

    def doubt(self, terms: Mapping[str, float]) -> str | None:
        """Both ways to collapse: all prototypes alike for every picture, or the same one."""
        share, divergence, in_use = terms["teacher_entropy_share"], terms["kl"], terms["prototypes_in_use"]
        if share > UNIFORM_SHARE and divergence < SAME_KL:
            return f"the teacher gives every picture all prototypes alike (entropy {share:.3f} of the most)"
        if in_use < FEWEST_IN_USE:
            return f"the teacher gives every picture the same prototype ({in_use:.2f} in use)"
        return None

    def _pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        """Each part of the teacher with the student's that it follows."""
        return (
            (self.teacher_trunk, self.trunk),
            (self.teacher_pool, self.pool),
            (self.teacher_head, self.head),
        )

    def _trunk_groups(self) -> tuple[LearningGroup, ...]:
        return (LearningGroup(_learning(self.trunk)),)

    def _head_groups(self, heads: tuple[prototypes.PrototypeHead, ...]) -> tuple[LearningGroup, ...]:
        """The heads with the pool, and their prototypes apart."""
        waits = self._shared.last_layer_waits
        first = LearningGroup(_learning(self.pool, *(head.mlp for head in heads)))
        return (first, LearningGroup(_learning(*(head.prototypes for head in heads)), waits=waits))

    @torch.no_grad()
    def _taught(self, features: Features) -> Float[Tensor, "B K"]:
        """The teacher's scores for its features."""
        return self.teacher_head(self.teacher_pool(features))


@torch.no_grad()
def figures(targets: Float[Tensor, "V B K"], loss: Float[Tensor, ""]) -> dict[str, Tensor]:
    """What tells collapse, of the teacher's distributions and the student's mean cross entropy with them.

    Entropy of a picture's distribution in nats and as a share of the most (ln K); divergence of the student from the
    teacher; exponential of the entropy of the batch's mean distribution, which is how many prototypes are in use.
    """
    inner = entropy(targets)
    return {
        "teacher_entropy": inner,
        "teacher_entropy_share": inner / math.log(targets.shape[-1]),
        "kl": loss.detach() - inner,
        "prototypes_in_use": entropy(targets.flatten(0, 1).mean(dim=0)).exp(),
    }


def _learning(*parts: nn.Module) -> tuple[nn.Parameter, ...]:
    weights = chain.from_iterable(part.parameters() for part in parts)
    return tuple(weight for weight in weights if weight.requires_grad)
