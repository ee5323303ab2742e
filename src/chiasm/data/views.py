"""The training loader: batches of augmented views, made in threads, each a pure function of the seed and the step.

The order of a source is a fresh permutation per epoch, read as one endless sequence (a batch may hold the end of one
epoch and the start of the next, so no picture is left out), and the augmentation of a step is drawn from a stream of
its own. Hence neither the number of threads nor their timing nor a restart changes a batch, and `iterate(first_step)`
continues a run exactly.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Event

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8

from chiasm.core.errors import BrokenPictureError, InputError, TooManyBrokenError
from chiasm.core.example import Example, Source
from chiasm.core.seeds import stream
from chiasm.core.views import Texts, Views, ViewSpec
from chiasm.data.augment import masks
from chiasm.data.augment.cpu import OneByOne
from chiasm.data.augment.rendering import Executor, Rendering
from chiasm.data.augment.sample import sample
from chiasm.data.skipped import Skipped
from chiasm.data.texts import TextMaker

# How many pictures are tried for one place of a batch before the source is given up.
MAX_ATTEMPTS = 100
# Pieces of work per thread and batch: enough that threads end a batch together, few enough to cost nothing.
_PIECES_PER_THREAD = 4


@dataclass(frozen=True, slots=True)
class _Plan:
    """One process's part of a batch, which begins at row `first` of the whole: what goes where."""

    step: int
    first: int
    indices: Int[np.ndarray, " B"]
    min_sides_px: Int[np.ndarray, " B"]
    rendering: Rendering
    hidden: tuple[Bool[np.ndarray, "B _"] | None, ...]
    labels: Int[np.ndarray, " B"]
    texts: tuple[Texts, ...]

    def views(self) -> Views:
        return Views(
            images=self.rendering.views(),
            indices=torch.from_numpy(self.indices),
            masks=tuple(None if hidden is None else torch.from_numpy(hidden) for hidden in self.hidden),
            labels=torch.from_numpy(self.labels),
            texts=self.texts,
        )


class ViewLoader:
    """Batches of augmented views of a source, without end.

    Each picture is decoded once for all its views, at a resolution at which its smallest crop still has `size_px` real
    pixels in both directions (`ViewDraws.needed_sides_px`). A broken picture is told to the ledger and its place taken
    by another one, drawn from the seed, the step, the place and the number of the attempt. The ledger judges the source
    as soon as enough of it was met, at the latest when all of it was.

    Args:
        source: where the pictures come from.
        specs: the views of each picture, as an objective names them.
        batch_size: pictures per batch, of all processes together; the same batches come whatever their number.
        seed: the run's seed.
        num_threads: threads that decode and augment, at least 1.
        skipped: the ledger of broken pictures.
        num_ahead: batches that are made while the consumer works on another one.
        rank, num_ranks: which of how many processes this is; each makes its own rows of the common batches.
        executor: what makes views of the pictures, and where; see `augment.rendering.executor_for`.
        texts: what makes the texts about each picture; one without is replaced as a broken one is.

    Raises:
        InputError: the source is empty, or a batch cannot be shared evenly.
        ValueError: a count is below 1 or there is no view.
    """

    def __init__(
        self,
        source: Source,
        specs: Sequence[ViewSpec],
        batch_size: int,
        seed: int,
        num_threads: int,
        skipped: Skipped,
        num_ahead: int = 2,
        rank: int = 0,
        num_ranks: int = 1,
        executor: Executor = OneByOne,
        texts: Sequence[TextMaker] = (),
    ) -> None:
        if len(source) == 0:
            raise InputError("a source with pictures", f"{source.name} has none", "name another source")
        if not specs or min(batch_size, num_threads, num_ahead) < 1 or not 0 <= rank < num_ranks:
            raise ValueError(
                f"a loader needs a view, positive counts and a rank below num_ranks, but got {len(specs)} views, "
                f"{batch_size=}, {num_threads=}, {num_ahead=}, {rank=}, {num_ranks=}"
            )
        if batch_size % num_ranks:
            do = "choose another --engine.batch-size"
            raise InputError(f"a batch that {num_ranks} processes can share evenly", f"one of {batch_size} came", do)
        self._source = source
        self._specs = tuple(specs)
        self._batch_size = batch_size
        self._seed = seed
        self._num_threads = num_threads
        self._skipped = skipped
        self._num_ahead = num_ahead
        self._rank = rank
        self._num_ranks = num_ranks
        self._executor = executor
        self._texts = tuple(texts)
        # A batch touches one or two epochs, and steps are mostly asked for in order.
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def batch(self, step: int) -> Views:
        """The batch of one step, made in the calling thread.

        Raises:
            TooManyBrokenError: the ledger says so, or no picture was readable in many attempts.
        """
        plan = self._plan(step)
        self._fill(plan, range(self._own_size), Event())
        return plan.views()

    def iterate(self, first_step: int = 0) -> Generator[Views, None, None]:
        """The batches of `first_step`, `first_step + 1` and so on, made ahead in threads.

        Threads start with the first batch asked for. They end when the iterator is closed or dropped, or when making a
        batch fails. OpenCV's own threads are switched off for the process, they would only compete with these.

        Raises:
            TooManyBrokenError: the ledger says so, or no picture was readable in many attempts.
        """
        cv2.setNumThreads(0)
        stopped = Event()
        pool = ThreadPoolExecutor(self._num_threads, thread_name_prefix="views")
        try:
            under_way: deque[tuple[Future[_Plan], list[Future[None]]]] = deque()
            for step in itertools.count(first_step):
                # A batch is started before an older one is waited for: threads that are done move on at once.
                under_way.append(self._start(step, pool, stopped))
                if len(under_way) > self._num_ahead:
                    plan, pieces = under_way.popleft()
                    for piece in pieces:
                        piece.result()
                    yield plan.result().views()
        finally:
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, step: int, pool: ThreadPoolExecutor, stopped: Event) -> tuple[Future[_Plan], list[Future[None]]]:
        size = self._own_size
        num_places = -(-size // (_PIECES_PER_THREAD * self._num_threads))
        pieces = [range(start, min(start + num_places, size)) for start in range(0, size, num_places)]
        # Threads take work in the order of asking: a piece never waits for a plan that nobody works on.
        plan = pool.submit(self._plan, step)
        return plan, [pool.submit(lambda piece=piece: self._fill(plan.result(), piece, stopped)) for piece in pieces]

    def _plan(self, step: int) -> _Plan:
        """Draw all that is random in this process's part of a batch, and set memory aside for it.

        Every process draws from the common batch: so its rows do not depend on how many processes there are.
        """
        size = self._own_size
        first = self._rank * size
        own = slice(first, first + size)
        draws = [
            sample(spec, self._batch_size, stream(self._seed, "augment", step, view), own)
            for view, spec in enumerate(self._specs)
        ]
        return _Plan(
            step=step,
            first=first,
            indices=self._indices(step)[own],
            min_sides_px=np.max([each.needed_sides_px() for each in draws], axis=0),
            rendering=self._executor(draws),
            hidden=tuple(
                None
                if spec.masking is None
                else masks.sample(spec.masking, self._batch_size, stream(self._seed, "mask", step, view))[own]
                for view, spec in enumerate(self._specs)
            ),
            labels=np.full(size, -1, np.int64),
            texts=tuple(maker.blank(size) for maker in self._texts),
        )

    @property
    def _own_size(self) -> int:
        """Pictures per batch of this process."""
        return self._batch_size // self._num_ranks

    def _indices(self, step: int) -> Int[np.ndarray, " B"]:
        """Which examples a batch holds: a stretch of the endless sequence of permutations."""
        length = len(self._source)
        first = step * self._batch_size
        positions = np.arange(first, first + self._batch_size)
        epochs = positions // length
        indices = np.empty(self._batch_size, np.int64)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            indices[here] = self._order(epoch)[positions[here] % length]
        return indices

    def _draw_order(self, epoch: int) -> Int[np.ndarray, " N"]:
        return stream(self._seed, "order", epoch).permutation(len(self._source))

    def _fill(self, plan: _Plan, places: range, stopped: Event) -> None:
        """Read the pictures of some places of a batch for their views."""
        for place in places:
            if stopped.is_set():
                return
            plan.rendering.put(place, self._read(plan, place))

    def _read(self, plan: _Plan, place: int) -> UInt8[np.ndarray, "H W 3"]:
        """The picture of one place, or of the first readable replacement, whose index is noted in the plan."""
        index, min_side_px = int(plan.indices[place]), int(plan.min_sides_px[place])
        for attempt in range(MAX_ATTEMPTS):
            self._skipped.seen(self._source.key(index))
            try:
                example = self._source.read(index, min_side_px)
                self._put_texts(plan, place, example)
            except BrokenPictureError as error:
                self._skipped.broken(error)
                self._skipped.check(len(self._source))
                index = self._replacement(plan.step, plan.first + place, attempt)
            else:
                plan.indices[place] = index
                plan.labels[place] = -1 if example.label is None else example.label
                return example.picture
        self._skipped.finish()
        raise TooManyBrokenError(
            "a readable picture", f"{MAX_ATTEMPTS} of {self._source.name} in a row are broken", "check the source"
        )

    def _put_texts(self, plan: _Plan, place: int, example: Example) -> None:
        for number, (maker, texts) in enumerate(zip(self._texts, plan.texts, strict=True)):
            draw = stream(self._seed, "text", plan.step, plan.first + place, number)
            maker.put(texts, place, example, draw)

    def _replacement(self, step: int, place: int, attempt: int) -> int:
        generator = stream(self._seed, "replacement", step, place, attempt)
        return int(generator.integers(len(self._source)))
