"""Every objective around every trunk that can serve it, small, with batches to its order."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed

from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.core.marks import END, MARKS, PADDING, START
from chiasm.core.protocols import Objective, ObjectiveConfig, TrunkConfig
from chiasm.core.seeds import stream
from chiasm.core.views import Texts, TextSpec, Views
from chiasm.data.augment import masks
from chiasm.engine.budget import Steps
from chiasm.engine.loop import Engine, Outcome
from chiasm.engine.processes import Processes
from chiasm.engine.settings import Settings
from chiasm.layers.hiding import Replaced
from chiasm.layers.residual import DropPath
from chiasm.objectives import registry
from chiasm.trunks import convnext, swin, vit

BATCH = 8
VIT = {"image_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2, "drop_path": 0.2}
TRUNKS: dict[str, TrunkConfig] = {
    "vit": vit.Config.model_validate(VIT),
    "vit_with_mask_token": vit.Config.model_validate({**VIT, "hiding": Replaced()}),
    "swin": swin.Config(
        image_size=32, embed_dim=16, depths=(1, 1), num_heads=(2, 2), window_sizes=(4,), hiding=Replaced()
    ),
    "convnext": convnext.Config(image_size=32, embed_dims=(16, 32), depths=(1, 1)),
}
ConfigT = TypeVar("ConfigT", bound=Config)
SMALLER = {"num_prototypes": 48, "num_classes": 3, "vocab_size": 300, "context_length": 6}
"""Sizes that follow the data, wherever they stand in the settings of an objective."""
LOCAL = {"koleo_weight": 0.0, "match_weight": 0.0}
"""What is by definition computed from the pictures of one process alone (KoLeo, drawn pairs), left out where processes
compare."""


def smaller(config: ConfigT, sizes: dict[str, Any]) -> ConfigT:
    """The settings with other sizes, at any depth."""
    new = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name in sizes:
            new[name] = sizes[name]
        elif isinstance(value, Config):
            new[name] = smaller(value, sizes)
    return config.model_copy(update=new)


def make(name: str, trunk: str, seed: int = 0, sizes: dict[str, Any] = SMALLER) -> Objective:
    """An objective around a trunk; refused by InputError where the trunk cannot serve."""
    torch.manual_seed(seed)
    config: ObjectiveConfig = registry.config(name)()
    return smaller(config, sizes).build(TRUNKS[trunk].build())


def served(name: str) -> list[str]:
    """The trunks that can serve an objective."""
    able = []
    for trunk in TRUNKS:
        try:
            make(name, trunk)
        except InputError:
            continue
        able.append(trunk)
    return able


PAIRS = [(name, trunk) for name in registry.names() for trunk in served(name)]
FIRST = dict(reversed(PAIRS))
"""One trunk for each objective, where trying all would take too long."""


def batch_for(objective: Objective, seed: int = 1) -> Views:
    """Pictures that differ in colour and place; each view is the picture with a little noise of its own."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(BATCH, 3, 1, 1, generator=generator) * 200
    images, hidden = [], []
    for number, spec in enumerate(objective.views()):
        noise = torch.rand(BATCH, 3, spec.size_px, spec.size_px, generator=generator) * 55
        images.append((colours + noise).to(torch.uint8))
        drawn = None if spec.masking is None else masks.sample(spec.masking, BATCH, stream(seed, "mask", number))
        hidden.append(None if drawn is None else torch.from_numpy(drawn))
    texts = tuple(texts_for(spec, generator) for spec in objective.texts())
    return Views(tuple(images), torch.arange(BATCH), tuple(hidden), torch.arange(BATCH) % 3, texts)


def texts_for(spec: TextSpec, generator: torch.Generator) -> Texts:
    """Words of any kind between the marks of our vocabularies, of different lengths."""
    tokens = torch.full((BATCH, spec.length), MARKS.index(PADDING))
    told = torch.zeros(BATCH, spec.length, dtype=torch.bool)
    for row in range(BATCH):
        length = 3 + row % (spec.length - 2)
        words = torch.randint(len(MARKS), 300, (length - 2,), generator=generator)
        tokens[row, :length] = torch.tensor([MARKS.index(START), *words.tolist(), MARKS.index(END)])
        told[row, 1:length] = True
    return Texts(tokens, told)


class Numbered:
    """Batch n is a pure function of n; each process gets its rows."""

    def __init__(self, objective: Objective, processes: Processes) -> None:
        self._objective, self._processes = objective, processes

    def iterate(self, first_step: int) -> Generator[Views]:
        size = BATCH // self._processes.count
        own = slice(self._processes.rank * size, (self._processes.rank + 1) * size)
        step = first_step
        while True:
            batch = batch_for(self._objective, seed=step)
            yield Views(
                tuple(images[own] for images in batch.images),
                batch.indices[own],
                tuple(None if hidden is None else hidden[own] for hidden in batch.masks),
                None if batch.labels is None else batch.labels[own],
                tuple(Texts(texts.tokens[own], texts.told[own]) for texts in batch.texts),
            )
            step += 1


class Losses:
    """Keeps the losses that the loop tells; asks it to stop at a step."""

    def __init__(self, stop: int) -> None:
        self.totals: list[float] = []
        self._stop = stop

    def started(self, first_step, facts): ...

    def stepped(self, event):
        self.totals.append(event.figures["loss"])
        if event.step == self._stop:
            os.kill(os.getpid(), signal.SIGTERM)

    def probed(self, event): ...

    def warned(self, step, words): ...

    def finished(self): ...


def fit(
    objective: Objective, folder: Path, *, stop: int = -1, processes: Processes | None = None
) -> tuple[Outcome, list[float]]:
    """A run of four steps, from its checkpoint where there is one; the outcome and the losses.

    Raises:
        InterruptedRunError: it was to stop at a step.
    """
    processes, told = processes or Processes(), Losses(stop)
    settings = Settings(batch_size=BATCH, lr=0.05, log_every=1, num_probes=0, precision="fp32", accelerator="cpu")
    engine = Engine(settings, Steps(4), folder, [told], processes=processes)
    resume = (folder / "checkpoint.safetensors").exists()
    return engine.fit(objective, Numbered(objective, processes), resume), told.totals


def without_chance(name: str) -> Objective:
    """An objective that draws no random numbers of its own and compares across processes all that it compares."""
    objective = make(name, FIRST[name], sizes={**SMALLER, **LOCAL})
    for part in objective.modules():
        if isinstance(part, DropPath):
            part.rate = 0.0
    return objective


def objectives_in_two(rank: int, folder: str) -> None:
    """A short run of every objective as one of two processes."""
    torch.set_num_threads(1)
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    seen = {}
    for name in registry.names():
        two = Processes(rank, 2, rank, 2)
        outcome, totals = fit(without_chance(name), Path(folder) / name, processes=two)
        seen[name] = (totals, outcome.trunk.state_dict())
    torch.save(seen, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
