"""CoCa's losses against slow formulas of the paper: pair by pair, token by token; and the model that is kept of it."""

from __future__ import annotations

import pytest
import torch
from objectives import batch_for, make
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.heads import pool
from chiasm.models import encoder
from chiasm.objectives import coca
from chiasm.objectives.coca import Coca
from chiasm.recipes._tied import contrastive_captioner
from chiasm.trunks import vit


@pytest.fixture
def objective() -> Coca:
    made = make("coca", "vit").double().eval()
    assert isinstance(made, Coca)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name != "logit_scale":
                # Norms of usual size: weak ones would make all pictures alike.
                is_norm = name.endswith("norm.weight")
                parameter.normal_(1.0 if is_norm else 0.0, 0.2, generator=generator)
    return made


def slow_total(objective: Coca, batch) -> torch.Tensor:
    """Each picture and each text by itself, texts without padding."""
    tokens, told = batch.texts[0]
    lengths = (tokens != 0).sum(dim=1).tolist()
    count, trunk = len(tokens), objective.trunk
    seen = [objective.pooler.all(trunk(trunk.normalize(image[None])))[0] for image in batch.images[0]]
    read = [objective.text_trunk.together(tokens[row : row + 1, :length])[0] for row, length in enumerate(lengths)]
    pictures = [functional.normalize(objective.projection(one[0]), dim=0) for one in seen]
    texts = [functional.normalize(objective.text_projection(objective.text_trunk.norm(one[-1])), dim=0) for one in read]
    scale = objective.logit_scale.exp()
    contrast, write = scale.new_zeros(()), scale.new_zeros(())
    for row in range(count):
        own = scale * (pictures[row] @ texts[row])
        contrast = contrast - own + torch.stack([scale * (pictures[row] @ one) for one in texts]).exp().sum().log()
        contrast = contrast - own + torch.stack([scale * (one @ texts[row]) for one in pictures]).exp().sum().log()
        logits = objective.decoder(read[row][None, :-1], seen[row][None, 1:])[0]
        for place in range(1, lengths[row]):
            assert bool(told[row, place])
            shares = logits[place - 1].exp() / logits[place - 1].exp().sum()
            write = write - shares[tokens[row, place]].log()
    return contrast / (2 * count) + 2 * write / int(told.sum())


def test_total_and_gradients_are_those_of_the_paper(objective):
    batch = batch_for(objective)
    losses = objective(batch, 0.0)
    losses.total.backward()
    found = {name: weight.grad.clone() for name, weight in objective.named_parameters()}
    objective.zero_grad()
    slow = slow_total(objective, batch)
    slow.backward()
    torch.testing.assert_close(losses.total, slow, rtol=1e-10, atol=1e-10)
    for name, weight in objective.named_parameters():
        assert found[name].abs().sum() > 0, name
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-7, atol=1e-10)


def test_the_kept_model_is_what_was_learned(objective):
    batch = batch_for(objective)
    pictures = encoder.Config(trunk=vit.Config.model_validate(settings_of(objective)), pool=objective.settings.pool)
    eye = pictures.build()
    eye.trunk.load_state_dict(objective.trunk.state_dict())
    eye.pool.load_state_dict(objective.kept_pool.state_dict())
    model = contrastive_captioner(eye, objective).double().eval()
    tokens, told = batch.texts[0].cut()
    with torch.no_grad():
        found = model.understand(batch.images[0], tokens)
        one, other = (functional.normalize(each, dim=1) for each in (found.pictures, found.texts))
        logits = model.logit_scale.exp() * one @ other.T
        places = torch.arange(len(tokens))
        contrast = (functional.cross_entropy(logits, places) + functional.cross_entropy(logits.T, places)) / 2
        wanted, real = tokens[:, 1:], told[:, 1:]
        write = functional.cross_entropy(found.logits[:, :-1][real], wanted[real])
        torch.testing.assert_close(objective(batch, 0.0).total, contrast + 2 * write, rtol=1e-6, atol=1e-6)


def settings_of(objective: Coca) -> dict:
    from objectives import VIT

    return {**VIT, "image_size": objective.trunk.image_size}


def test_a_pool_without_queries_is_refused():
    settings = coca.Config(pool=pool.Config(by=pool.ByMean()))
    with pytest.raises(InputError, match="a pool of queries"):
        settings.build(vit.Config(image_size=16, patch_size=4, embed_dim=32, depth=1, num_heads=2).build())
