"""The processes of a run, which a launcher such as torchrun starts, and how they come to the same decisions.

Each process makes its own rows of the common batches and computes the same weights. What must not differ between them
(whether to go on, how long the run has lasted, what the folder holds) is decided by all or by the first one and told
to the others, so that none waits for another that has left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

from chiasm.core.errors import ChiasmError, InputError

AnswerT = TypeVar("AnswerT")
_MEETING = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class ToldElsewhereError(ChiasmError):
    """Another process of the run failed, and tells why."""

    def __init__(self, rank: int, exit_code: int) -> None:
        super().__init__("all processes to go on", f"process {rank} failed", "see what it says")
        self.exit_code = exit_code
        self.told = True


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes take part in a run, and which of them this is; alone by default.

    What makes them agree (`first`, `together`, `gathered`, `sums`) must be called by all of them, in the same order.

    Attributes:
        rank, count: number of this process, and how many there are.
        local_rank, local_count: the same among those on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes, shows and evaluates for all."""
        return self.rank == 0

    def first(self, work: Callable[[], AnswerT]) -> AnswerT:
        """Let the first process do something; all get its answer.

        Raises:
            ChiasmError: as the work raises in the first process; `ToldElsewhereError` in the others.
            OSError: the same.
        """
        if self.count == 1:
            return work()
        answers: list[AnswerT] = []
        error = None
        if self.is_first:
            try:
                answers = [work()]
            except (ChiasmError, OSError) as failure:
                error = failure
        self._fail_together(error)
        box = [answers]
        distributed.broadcast_object_list(box, 0)
        return box[0][0]

    def together(self, work: Callable[[], AnswerT]) -> AnswerT:
        """Let every process do something, and go on only if that went well in all.

        Raises:
            ChiasmError: as the work raises in this process, or `ToldElsewhereError` where it failed in another.
            OSError: as the work raises in this process.
        """
        if self.count == 1:
            return work()
        answers: list[AnswerT] = []
        error = None
        try:
            answers = [work()]
        except (ChiasmError, OSError) as failure:
            error = failure
        self._fail_together(error)
        return answers[0]

    def _fail_together(self, error: ChiasmError | OSError | None) -> None:
        """Go on only if no process has an error; the first of those that have one tells it."""
        failed = torch.tensor([self.count if error is None else self.rank])
        distributed.all_reduce(failed, distributed.ReduceOp.MIN)
        teller = int(failed.item())
        if teller == self.count:
            return
        code = torch.tensor([error.exit_code if isinstance(error, ChiasmError) else 2])
        distributed.broadcast(code, teller)
        if error is None or teller != self.rank:
            raise ToldElsewhereError(teller, int(code.item()))
        raise error

    def gathered(self, answer: AnswerT) -> list[AnswerT]:
        """What each process says, in their order."""
        if self.count == 1:
            return [answer]
        answers: list[AnswerT] = [answer] * self.count
        distributed.all_gather_object(answers, answer)
        return answers

    def in_unison(self, error: ChiasmError) -> ChiasmError:
        """An error that all processes are about to raise alike; only the first one's is told."""
        error.told = not self.is_first
        return error

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Each number summed over all processes."""
        if self.count == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total)
        return total.tolist()


@contextmanager
def joined(on_gpus: bool) -> Iterator[Processes]:
    """The processes that a launcher started, able to talk to each other within the block; a block within is part of it.

    Args:
        on_gpus: whether tensors on GPUs are to be exchanged as well.

    Raises:
        InputError: several were started, but not told how to meet, or there are fewer GPUs than processes.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    missing = [name for name in _MEETING if name not in os.environ]
    if missing:
        raise InputError(
            f"{count} processes (WORLD_SIZE) that know how to meet", f"{missing[0]} is not set", "start by torchrun"
        )
    rank, local_rank, local_count = (int(os.environ[name]) for name in _MEETING[:3])
    if on_gpus and local_count > torch.cuda.device_count():
        raise InputError(
            f"a GPU for each of {local_count} processes",
            f"{torch.cuda.device_count()} are here",
            "start fewer processes, or say --engine.accelerator cpu",
        )
    if on_gpus:
        torch.cuda.set_device(local_rank)
    if distributed.is_initialized():
        yield Processes(rank, count, local_rank, local_count)
        return
    # Decisions travel between processors even where gradients travel between GPUs.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", rank=rank, world_size=count)
    try:
        yield Processes(rank, count, local_rank, local_count)
    finally:
        distributed.destroy_process_group()
