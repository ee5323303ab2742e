"""What has gone wrong is named with its step and cause; what may mend itself is warned of first."""

from __future__ import annotations

import math
import re

import pytest
import torch

from chiasm.core.errors import TrainingStoppedError
from chiasm.core.protocols import Losses
from chiasm.engine.watch import STOP_SHARE, STOP_STEPS, WARN_SHARE, WARN_STEPS, Watch, one_vector, spread


def some_losses(total: float) -> Losses:
    return Losses(torch.tensor(total), torch.zeros(2, 2), {"fine": torch.tensor(1.0)})


def test_a_gradient_that_grew_is_blamed_on_the_learning_rate():
    watch = Watch()
    for step in range(1, 21):
        watch.check(step, some_losses(1.0), 2.0 * 1.5**step)
    with pytest.raises(TrainingStoppedError, match=r"step 21 the gradient became inf .*learning rate is too high"):
        watch.check(21, some_losses(1.0), math.inf)


def test_broken_from_the_first_step_is_blamed_on_the_input():
    with pytest.raises(TrainingStoppedError, match=r"step 1 the loss became nan .*from the first step"):
        Watch().check(1, some_losses(math.nan), 1.0)


def test_spread_tells_one_vector_from_many():
    generator = torch.Generator().manual_seed(0)
    many = torch.randn(256, 64, generator=generator)
    one = torch.ones(256, 64) + 1e-4 * many
    assert one_vector(float(spread(many))) is None
    assert spread(many) > 0.95
    words = one_vector(float(spread(one)))
    assert words is not None
    assert "one vector (spread 0.0001)" in words


def weigh_all(num_steps: int, doubtful: range, first: int = 0) -> tuple[list[int], int | None]:
    """Steps at which a run of so many steps was warned of a doubt, and the step at which it was stopped."""
    watch, warned = Watch(), []
    for step in range(first + 1, num_steps + 1):
        try:
            words = watch.weigh(step, step / num_steps, "it looks wrong" if step in doubtful else None)
        except TrainingStoppedError as error:
            return warned, int(re.findall(r"at step (\d+), .* it looks wrong: the rep", str(error))[0])
        if words is not None:
            assert "it looks wrong" in words
            warned.append(step)
    return warned, None


def test_a_doubt_is_told_once_and_ends_the_run_when_it_lasts():
    long, whole = 10_000, range(10_001)
    warned, stopped = weigh_all(long, whole)
    assert warned == [pytest.approx(WARN_SHARE * long, abs=2)]
    assert stopped == pytest.approx(STOP_SHARE * long, abs=2)
    # In a short run the steps count.
    assert weigh_all(300, whole) == ([WARN_STEPS], STOP_STEPS)
    assert weigh_all(190, whole) == ([WARN_STEPS], None)


@pytest.mark.parametrize("num_steps", [40, 200, 10_000])
def test_what_a_random_start_does_is_no_alarm(num_steps):
    first_tenth = range(int(WARN_SHARE * num_steps))
    assert weigh_all(num_steps, first_tenth) == ([], None)


def test_what_mends_itself_does_not_end_a_run_and_may_come_again():
    assert weigh_all(1000, range(150)) == ([pytest.approx(101, abs=1)], None)
    watch, warned = Watch(), []
    for step in range(1, 1001):
        doubt = None if step % 200 == 0 else "it looks wrong"
        if watch.weigh(step, step / 1000, doubt):
            warned.append(step)
    assert len(warned) == 5


def test_a_resumed_run_gets_its_patience_anew():
    warned, stopped = weigh_all(1000, range(1001), first=700)
    assert warned == [pytest.approx(801, abs=2)]
    assert stopped == pytest.approx(901, abs=2)
