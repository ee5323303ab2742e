"""What every objective must do around every trunk that can serve it, found in the registry: a new one needs no line."""

from __future__ import annotations

import copy

import numpy as np
import objectives as small
import pytest
import torch
from objectives import BATCH, FIRST, PAIRS, TRUNKS, batch_for, fit, make
from torch.multiprocessing.spawn import spawn

from chiasm.core.errors import InputError
from chiasm.core.example import Example, QuestionAnswer
from chiasm.core.protocols import Losses
from chiasm.core.seeds import stream
from chiasm.core.tensors import read_tensors
from chiasm.data import tokenizer as tokenizers
from chiasm.data.skipped import Skipped
from chiasm.data.texts import TextMaker
from chiasm.data.views import ViewLoader
from chiasm.data.vocabulary import learn_vocabulary
from chiasm.engine.checkpoint import FILE_NAME
from chiasm.engine.interrupt import InterruptedRunError
from chiasm.objectives import registry
from chiasm.recipes.flamingo import MARKS
from chiasm.trunks import registry as trunks


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture(params=registry.names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_there_are_trunks_of_all_kinds(name):
    assert trunks.names()
    assert name in FIRST
    abilities = {(trunk.hides_patches, trunk.replaces_patches) for trunk in (c.build() for c in TRUNKS.values())}
    assert abilities == {(True, False), (False, True), (False, False)}


def test_a_trunk_that_cannot_serve_is_refused_in_one_line(name):
    for trunk in TRUNKS:
        if (name, trunk) not in PAIRS:
            with pytest.raises(InputError, match="expected a trunk"):
                make(name, trunk)


def test_losses_are_finite_scalars_with_named_terms(pair):
    objective = make(*pair)
    losses = objective(batch_for(objective), 0.0)
    assert isinstance(losses, Losses)
    assert losses.total.shape == ()
    assert torch.isfinite(losses.total)
    assert losses.terms
    assert all(not term.requires_grad and torch.isfinite(term) for term in losses.terms.values())
    assert losses.embeddings.ndim == 2
    assert not losses.embeddings.requires_grad


def test_gradient_reaches_every_learning_parameter(pair):
    objective = make(*pair)
    objective(batch_for(objective), 0.0).total.backward()
    hides = any(spec.masking is not None for spec in objective.views())
    for path, parameter in objective.named_parameters():
        # A mask token has nothing to say where nothing is hidden.
        if parameter.requires_grad and (hides or not path.endswith("mask_token")):
            assert parameter.grad is not None, path
            assert torch.isfinite(parameter.grad).all(), path


def test_all_that_learns_is_in_one_group_of_rates(pair):
    objective = make(*pair)
    grouped = [id(weight) for group in objective.groups() for weight in group.parameters]
    learning = [id(weight) for weight in objective.parameters() if weight.requires_grad]
    assert sorted(grouped) == sorted(learning)


def test_one_small_step_lowers_the_loss_on_the_same_batch(pair):
    objective = make(*pair).double()
    batch = batch_for(objective)
    # Statistics and centres move in a pass, so both passes begin from the same ones.
    before = copy.deepcopy(objective)
    torch.manual_seed(5)
    first = before(batch, 0.0).total
    first.backward()
    gradients = {path: weight.grad for path, weight in before.named_parameters() if weight.grad is not None}
    length = torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt()
    with torch.no_grad():
        for path, weight in objective.named_parameters():
            if path in gradients:
                weight -= 1e-6 * gradients[path] / length
    torch.manual_seed(5)
    second = objective(batch, 0.0).total
    expected = 1e-6 * float(length)
    assert float((first - second).detach()) == pytest.approx(expected, rel=0.1)


def test_the_trunk_learns(name):
    objective = make(name, FIRST[name])
    before = {path: value.clone() for path, value in objective.trunk.state_dict().items()}
    batch = batch_for(objective)
    learning = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=2e-3)
    for step in range(3):
        objective(batch, step / 3).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step((step + 1) / 3)
    assert any(not torch.equal(value, before[path]) for path, value in objective.trunk.state_dict().items())


def test_same_seed_same_loss_and_state_travels(pair):
    one, two = make(*pair), make(*pair)
    batch = batch_for(one)
    torch.manual_seed(5)
    first = one(batch, 0.0).total
    torch.manual_seed(5)
    assert torch.equal(first, two(batch, 0.0).total)
    other = make(*pair, seed=9)
    other.load_state_dict(two.state_dict())
    states = (two.state_dict(), other.state_dict())
    assert all(torch.equal(states[0][path], states[1][path]) for path in states[0])


def test_bfloat16_gives_nearly_the_same_loss(pair):
    exact, low = make(*pair), make(*pair)
    batch = batch_for(exact)
    torch.manual_seed(5)
    wanted = float(exact(batch, 0.0).total.detach())
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(5)
        came = float(low(batch, 0.0).total.detach())
    assert came == pytest.approx(wanted, rel=0.1, abs=0.05)


def test_what_is_kept_encodes_pictures(pair):
    objective = make(*pair)
    kept = objective.kept.eval()
    features = kept(kept.normalize(torch.zeros(2, 3, kept.image_size, kept.image_size, dtype=torch.uint8)))
    assert features.patches.shape[2] == objective.trunk.embed_dim
    assert kept.state_dict().keys() == objective.trunk.state_dict().keys()


def test_settings_round_trip(name):
    config = registry.config(name)
    settings = config()
    assert config.model_validate_json(settings.model_dump_json()) == settings


QUESTION = QuestionAnswer("shape", "What is it?", "noise")


class Noise:
    """Pictures of noise, of one class or another."""

    name, classes = "noise", ("a", "b")

    def __len__(self):
        return 12

    def key(self, index):
        return str(index)

    def label(self, index):
        return index % 2

    def digest(self, index):
        return f"noise {index}"

    def read(self, index, min_side_px=None):
        picture = stream(0, "noise", index).integers(0, 256, (40, 50, 3), np.uint8)
        return Example(str(index), picture, captions=(f"noise number {index}",), questions=(QUESTION,))


def test_views_can_be_rendered_and_learned_from(pair):
    objective = make(*pair)
    vocabulary = learn_vocabulary([QUESTION.question], small.SMALLER["vocab_size"])
    # With the marks of a Flamingo, for those that are asked like one.
    tokenizer = tokenizers.Config().build(tokenizers.with_tokens(vocabulary, MARKS), 6)
    makers = [TextMaker(spec, tokenizer) for spec in objective.texts()]
    batch = ViewLoader(Noise(), objective.views(), BATCH, 0, 1, Skipped(), texts=makers).batch(0)
    assert [images.shape[-1] for images in batch.images] == [spec.size_px for spec in objective.views()]
    assert torch.isfinite(objective(batch, 0.5).total)


def test_a_run_in_two_parts_is_the_run_in_one(name, tmp_path):
    fit(make(name, FIRST[name]), tmp_path / "whole")
    with pytest.raises(InterruptedRunError, match="at step 2"):
        fit(make(name, FIRST[name]), tmp_path / "parts", stop=2)
    fit(make(name, FIRST[name]), tmp_path / "parts")
    ours, theirs = (read_tensors(tmp_path / part / FILE_NAME) for part in ("whole", "parts"))
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        assert torch.equal(value, theirs[path]), path


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Losses and trunks of all objectives in two processes."""
    folder = tmp_path_factory.mktemp("two")
    spawn(small.objectives_in_two, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_are_one_with_the_whole_batch(name, two, tmp_path):
    outcome, totals = fit(small.without_chance(name), tmp_path)
    assert two[0][name][0] == pytest.approx(totals, rel=1e-3)
    for path, value in outcome.trunk.state_dict().items():
        assert torch.allclose(value, two[0][name][1][path], atol=2e-3), path
        assert torch.equal(two[0][name][1][path], two[1][name][1][path]), path
