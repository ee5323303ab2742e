"""Flamingo's loss against a slow formula of the paper, text by text and token by token; and the model that is kept."""

from __future__ import annotations

import pytest
import torch
from objectives import VIT, batch_for, make
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.heads import gated_layers, resampler
from chiasm.models import encoder, language
from chiasm.objectives import flamingo
from chiasm.objectives.flamingo import Flamingo, Frozen, Marks
from chiasm.recipes.flamingo import among_words, with_rows
from chiasm.trunks import language as transformers
from chiasm.trunks import vit

MARK, END = 38, 37


def redrawn(made: Flamingo) -> Flamingo:
    """In double precision, with all weights drawn anew: gates would hide all that is behind them."""
    generator = torch.Generator().manual_seed(3)
    made = made.double().eval()
    weights = [*made.named_parameters()]
    if isinstance(made.language, Frozen):
        weights += [*made.language.language.module.named_parameters()]
    with torch.no_grad():
        for name, parameter in weights:
            is_norm = name.endswith("norm.weight")
            parameter.normal_(1.0 if is_norm else 0.0, 0.3, generator=generator)
    return made


def learning() -> Flamingo:
    made = make("flamingo", "vit")
    assert isinstance(made, Flamingo)
    return redrawn(made)


def frozen(writes_as_it_reads: bool) -> Flamingo:
    """A language model that stays, and knew 36 tokens before."""
    trunk = transformers.Config(vocab_size=36, context_length=24, embed_dim=16, depth=2, num_heads=2)
    model = language.Config(trunk=trunk, writes_as_it_reads=writes_as_it_reads).build()
    torch.manual_seed(0)
    settings = flamingo.Config(
        resampler=resampler.Config(num_latents=3, depth=1, num_heads=2, head_dim=4),
        gated=gated_layers.Config(num_heads=2, head_dim=4),
        pictures=2,
        context_length=6,
        locked=True,
    )
    speaks = Frozen(with_rows(model, 40), Marks(picture=MARK, end=END))
    return redrawn(Flamingo(vit.Config.model_validate(VIT).build(), speaks, settings))


MADE = {"learning": learning, "frozen": lambda: frozen(False), "frozen, one table": lambda: frozen(True)}


@pytest.fixture(params=MADE)
def objective(request) -> Flamingo:
    return MADE[request.param]()


def batch_of(objective: Flamingo):
    batch = batch_for(objective)
    return with_marks(batch, 36) if isinstance(objective.language, Frozen) else batch


def with_marks(batch, num_words: int = 300):
    """Texts between a Flamingo's marks."""
    (texts,) = batch.texts
    tokens, lengths = texts.tokens % num_words, texts.told.sum(dim=1)
    tokens[:, 0] = MARK
    tokens[torch.arange(len(tokens)), lengths] = END
    return batch._replace(texts=(texts._replace(tokens=tokens),))


def pieces(objective: Flamingo, batch) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Of each text: its latents, tokens, which are learned, and the number of the picture that each token sees."""
    trunk, (texts,), count = objective.trunk, batch.texts, objective.settings.pictures
    latents = [objective.resampler(trunk(trunk.normalize(image[None])))[0] for image in batch.images[0]]
    found = []
    for first in range(0, len(latents), count):
        rows = range(first, first + count)
        lengths = [1 + int(texts.told[row].sum()) for row in rows]
        tokens = torch.cat([texts.tokens[row, :length] for row, length in zip(rows, lengths, strict=True)])
        told = torch.cat([texts.told[row, :length] for row, length in zip(rows, lengths, strict=True)])
        sees = torch.cat([torch.full((length,), place) for place, length in enumerate(lengths)])
        found.append((torch.stack(latents[first : first + count]), tokens, told, sees))
    return found


def slow_total(objective: Flamingo, batch) -> Tensor:
    """Each text by itself, each token's picture told by hand."""
    total, number = torch.zeros((), dtype=torch.float64), 0
    for latents, tokens, told, sees in pieces(objective, batch):
        mask = torch.stack([sees == picture for picture in range(len(latents))], dim=1)
        shown = objective.gated.show(latents[None], mask[None])
        logits = objective.language(tokens[None], before=objective.gated.before(shown))[0]
        for place in range(1, len(tokens)):
            if told[place]:
                shares = logits[place - 1].exp() / logits[place - 1].exp().sum()
                total, number = total - shares[tokens[place]].log(), number + 1
    return total / number


def test_total_and_gradients_are_those_of_the_paper(objective):
    batch = batch_of(objective)
    losses = objective(batch, 0.0)
    losses.total.backward()
    found = {name: weight.grad.clone() for name, weight in objective.named_parameters() if weight.requires_grad}
    objective.zero_grad()
    slow = slow_total(objective, batch)
    slow.backward()
    torch.testing.assert_close(losses.total, slow, rtol=1e-10, atol=1e-10)
    learning = {name: weight for name, weight in objective.named_parameters() if weight.requires_grad}
    assert any(name.startswith("trunk.") for name in learning) != objective.settings.locked
    for name, weight in learning.items():
        assert found[name].abs().sum() > 0, name
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-7, atol=1e-10)


def test_the_kept_model_is_what_was_learned(objective):
    batch = batch_of(objective)
    eye = encoder.Config(trunk=vit.Config.model_validate(VIT), pool=objective.settings.pool).build()
    eye.trunk.load_state_dict(objective.trunk.state_dict())
    model = among_words(eye, objective).double().eval()
    model.load_state_dict({**model.state_dict(), **exact(objective, model)})
    loss, number = 0.0, 0
    with torch.no_grad():
        for (_, tokens, told, sees), images in zip(pieces(objective, batch), batch.images[0].split(2), strict=True):
            begins = torch.cat([torch.ones(1, dtype=torch.bool), sees.diff() != 0])
            latents = model.see(images)
            logits = model(latents[None], tokens[None], begins[None])[0].log_softmax(dim=-1)
            wanted = tokens[1:][told[1:]]
            loss -= float(logits[:-1][told[1:]].gather(1, wanted[:, None]).sum())
            number += len(wanted)
        assert loss / number == pytest.approx(float(objective(batch, 0.0).total), rel=1e-9)


def exact(objective: Flamingo, model) -> dict[str, Tensor]:
    """The weights of the language model in double precision, which `among_words` makes in single."""
    own = objective.language.state_dict()
    weights = objective.language.filled(own) if isinstance(objective.language, Frozen) else own
    parts = {f"language.{name}": tensor for name, tensor in weights.items()}
    for part in ("resampler", "gated"):
        parts |= {f"{part}.{name}": tensor for name, tensor in getattr(objective, part).state_dict().items()}
    trunk = {f"image_encoder.trunk.{name}": tensor for name, tensor in objective.trunk.state_dict().items()}
    found = parts | trunk
    assert found.keys() <= model.state_dict().keys()
    for name, tensor in found.items():
        torch.testing.assert_close(model.state_dict()[name], tensor.double(), rtol=1e-5, atol=1e-6)
    return found


@pytest.mark.parametrize("writes_as_it_reads", [False, True])
def test_only_the_marks_of_a_trained_language_model_learn(writes_as_it_reads):
    made = frozen(writes_as_it_reads)
    assert isinstance(made.language, Frozen)
    held = made.language.language.module
    before = {name: tensor.clone() for name, tensor in held.state_dict().items()}
    batch = with_marks(batch_for(made), 36)
    optimizer = torch.optim.SGD([weight for weight in made.parameters() if weight.requires_grad], lr=1.0)
    made(batch, 0.0).total.backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in held.state_dict().items())
    kept = made.language.filled(made.language.state_dict())
    changed = (kept["trunk.token_embedding.weight"] != before["trunk.token_embedding.weight"]).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [END, MARK]
    if "next_token" in kept:
        changed = (kept["next_token"] != before["next_token"]).any(dim=1)
        assert changed.nonzero().flatten().tolist() == [END]


def test_with_closed_gates_pictures_change_nothing(objective):
    batch = batch_of(objective)
    with torch.no_grad():
        for name, parameter in objective.named_parameters():
            if name.endswith("_gate"):
                parameter.zero_()
        one = objective(batch, 0.0).total
        other = objective(batch._replace(images=(255 - batch.images[0],)), 0.0)
    assert torch.equal(one, other.total)
    assert float(other.terms["open"]) == 0


def test_texts_that_no_context_holds_are_refused():
    trunk = transformers.Config(vocab_size=36, context_length=10, embed_dim=16, depth=2, num_heads=2)
    model = language.Config(trunk=trunk).build()
    settings = flamingo.Config(pictures=2, context_length=6)
    with pytest.raises(InputError, match="texts of at most 10 tokens"):
        Flamingo(vit.Config.model_validate(VIT).build(), model, settings)


def test_pictures_that_fill_no_whole_text_are_refused(objective):
    batch = batch_of(objective)
    odd = batch._replace(images=(batch.images[0][:3],))
    with pytest.raises(InputError, match="fill whole texts"):
        objective(odd, 0.0)
