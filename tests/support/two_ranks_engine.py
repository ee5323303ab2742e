"""What one of two processes does with the engine; here, since a spawned process imports it by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import torch
from torch import distributed, nn
from toys import ToyBatches, ToyObjective

from chiasm.core.errors import ChiasmError, InputError
from chiasm.core.protocols import Trunk
from chiasm.core.views import Views
from chiasm.engine.budget import Minutes, Steps
from chiasm.engine.loop import Engine
from chiasm.engine.processes import Processes
from chiasm.engine.settings import Settings
from chiasm.layers.held import Held
from chiasm.objectives._teacher import follow, teacher_of
from chiasm.trunks import vit

SETTINGS = Settings(
    batch_size=16, log_every=1, lr=0.05, ema_momentum=0.9, precision="fp32", accelerator="cpu", clip_norm=0.5
)
OTHERWISE = {"accumulate": 2, "clip_by": "part", "ema_momentum": 0.0}
ALONE = Processes()


class Steady(ToyObjective):
    """Blocks, a teacher that follows and one that is held, nothing random.

    Each row is on its own, so that it is the same however rows are shared.

    One parameter is never used; another one is used only where the first picture is, unless it is used `everywhere`.
    """

    def __init__(self, everywhere: bool) -> None:
        super().__init__()
        self.everywhere = everywhere
        self.trunk: Trunk = vit.Config(image_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2).build()
        self.out, self.norm = nn.Linear(16, 1), nn.LayerNorm(16)
        self.teacher = teacher_of(self.trunk)
        self.known = Held(vit.Config(image_size=8, patch_size=8, embed_dim=4, depth=1, num_heads=1).build())
        self.idle = nn.Parameter(torch.ones(3))
        self.rare = nn.Parameter(torch.ones(1))

    @property
    def kept(self) -> Trunk:
        return self.teacher

    def forward(self, batch, progress):
        losses = super().forward(batch, progress)
        with torch.no_grad():
            images = self.trunk.normalize(batch.images[0])
            taught = self.teacher(images).prefix.square().mean()
            wanted = self.known.on(images.device)(images).prefix[:, 0]
        given = self.trunk(images).prefix[:, 0, : wanted.shape[1]]
        total = losses.total + 0.1 * taught + 0.1 * (given - wanted).square().mean()
        first = batch.indices == 0
        if self.everywhere or first.any():
            total = total + 0.01 * (first * self.rare).mean()
        return losses._replace(total=total)

    def after_step(self, progress):
        super().after_step(progress)
        follow(self.teacher, self.trunk, 0.8)


class Shared(ToyBatches):
    """One process's rows of the toy batches; may fail at a batch."""

    def __init__(self, processes: Processes, fails_at: int = -1) -> None:
        super().__init__()
        self._processes, self._fails_at = processes, fails_at

    def iterate(self, first_step: int) -> Generator[Views]:
        size = 16 // self._processes.count
        own = slice(self._processes.rank * size, (self._processes.rank + 1) * size)
        for step, batch in enumerate(super().iterate(first_step), first_step):
            if step == self._fails_at:
                raise InputError("a disk", "it is gone", "buy another one")
            yield Views(tuple(images[own] for images in batch.images), batch.indices[own])


class Told:
    """Keeps what the loop tells; can raise a signal at a step."""

    def __init__(self, kill_at: int = -1) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self._kill_at = kill_at

    def started(self, first_step, facts):
        self.facts = dict(facts)

    def stepped(self, event):
        self.losses.append(event.figures["loss"])
        self.norms.append(event.figures["grad_norm"])
        if event.step == self._kill_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def probed(self, event):
        self.looks = dict(event.figures)

    def warned(self, step, words): ...

    def finished(self): ...


def train(folder, *, processes=ALONE, resume=False, told=None, fails_at=-1, budget=None, **settings):
    """A run of four steps; returns what it told and its outcome."""
    torch.manual_seed(3)
    told = told or Told()
    engine = Engine(
        SETTINGS.model_copy(update=settings),
        budget or Steps(4),
        Path(folder),
        [told],
        [lambda trunk: {"width": float(next(trunk.parameters()).numel())}] if processes.is_first else [],
        processes=processes,
    )
    return told, engine.fit(Steady(settings.get("strategy") == "fsdp"), Shared(processes, fails_at), resume)


def failure(work) -> tuple[str, str, bool, int]:
    """Kind, words, whether another process tells, and exit code of what goes wrong."""
    try:
        work()
    except ChiasmError as error:
        return type(error).__name__, str(error), error.told, error.exit_code
    raise RuntimeError("nothing went wrong")


def engine_in_two(rank: int, folder: str) -> None:
    """All that two processes are to show, in one go, since starting them takes longest."""
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    two = Processes(rank, 2, rank, 2)
    seen = {}
    for name, settings in {
        "ddp": {},
        "ddp_resumed": {"resume": True},
        "fsdp": {"strategy": "fsdp"},
        "fsdp_otherwise": {"strategy": "fsdp", "recompute": True, **OTHERWISE},
        "fsdp_resumed": {"strategy": "fsdp", "resume": True},
    }.items():
        told, outcome = train(f"{folder}/{name}", processes=two, **settings)
        state = outcome.trunk.state_dict() if rank == 0 else {}
        seen[name] = (told.losses, told.norms, state, outcome.figures)
    seen["minutes"] = train(f"{folder}/minutes", processes=two, budget=Minutes(0.005))[1].steps
    seen["interrupted"] = failure(
        lambda: train(f"{folder}/interrupted", processes=two, told=Told(2) if rank == 0 else None)
    )
    fails_at = 2 if rank == 1 else -1
    seen["failed"] = failure(lambda: train(f"{folder}/failed", processes=two, fails_at=fails_at))
    seen["refused"] = failure(lambda: train(f"{folder}/nothing", processes=two, resume=True))
    torch.save(seen, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
