"""BLIP's three losses against slow formulas of the paper: pair by pair, token by token, without padding."""

from __future__ import annotations

import pytest
import torch
from objectives import VIT, batch_for, make
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.losses.matching import LEAST, hard_negatives, matching_loss
from chiasm.losses.next_token import next_token_loss
from chiasm.models import encoder
from chiasm.models._store import load_model, save_model
from chiasm.models.blip import Blip as WholeBlip
from chiasm.objectives.blip import Blip
from chiasm.recipes._tied import matcher_and_captioner
from chiasm.trunks import vit
from chiasm.weights import artefact
from chiasm.weights.card import Card

SMOOTHING = 0.1


@pytest.fixture
def objective() -> Blip:
    made = make("blip", "vit").double().eval()
    assert isinstance(made, Blip)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name != "logit_scale":
                # Norms of usual size: weak ones would make all pictures alike.
                is_norm = name.endswith("norm.weight")
                parameter.normal_(1.0 if is_norm else 0.0, 0.2, generator=generator)
    return made


def slow_next_token(logits: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """Cross entropy with a share of the wanted probability for all tokens alike."""
    shares = (logits.exp() / logits.exp().sum()).log()
    return -(1 - SMOOTHING) * shares[token] - SMOOTHING * shares.mean()


def slow_total(objective: Blip, batch, others) -> torch.Tensor:
    tokens, told = batch.texts[0]
    lengths = (tokens != 0).sum(dim=1).tolist()
    texts = [tokens[row : row + 1, :length] for row, length in enumerate(lengths)]
    features = [objective.trunk(objective.trunk.normalize(image[None])) for image in batch.images[0]]
    shown = [torch.cat([one.prefix, one.patches], dim=1) for one in features]
    count = len(texts)
    pictures = [functional.normalize(objective.projection(objective.pool(one)))[0] for one in features]
    words = [functional.normalize(objective.text_projection(objective.reader(text)[:, 0]))[0] for text in texts]
    scale = objective.logit_scale.exp()
    contrast, match, write = (scale.new_zeros(()) for _ in range(3))
    for row in range(count):
        own = scale * (pictures[row] @ words[row])
        contrast = contrast - own + torch.stack([scale * (pictures[row] @ one) for one in words]).exp().sum().log()
        contrast = contrast - own + torch.stack([scale * (one @ words[row]) for one in pictures]).exp().sum().log()
        pairs = [(row, row, 1), (int(others.pictures[row]), row, 0), (row, int(others.texts[row]), 0)]
        for picture, text, belong in pairs:
            read = objective.reader(texts[text], objective.reader.show(shown[picture]))[0, 0]
            shares = objective.match_head(read).softmax(dim=0)
            match = match - shares[belong].log()
        logits = objective.writer(texts[row], shown[row])[0]
        for place in range(1, lengths[row]):
            assert bool(told[row, place])
            write = write + slow_next_token(logits[place - 1], texts[row][0, place])
    return contrast / (2 * count) + match / (3 * count) + write / int(told.sum())


def test_total_and_gradients_are_those_of_the_paper(objective):
    batch = batch_for(objective)
    torch.manual_seed(11)
    losses = objective(batch, 0.0)
    losses.total.backward()
    found = {name: weight.grad.clone() for name, weight in objective.named_parameters()}
    objective.zero_grad()
    tokens = batch.texts[0].cut().tokens
    with torch.no_grad():
        pooled = objective.pool(objective.trunk(objective.trunk.normalize(batch.images[0])))
        pictures, texts = objective.projection(pooled), objective.text_projection(objective.reader(tokens)[:, 0])
        torch.manual_seed(11)
        others = hard_negatives(pictures, texts, objective.logit_scale.exp())
    wanted = slow_total(objective, batch, others)
    wanted.backward()
    torch.testing.assert_close(losses.total.detach(), wanted.detach())
    for name, weight in objective.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, msg=lambda text, name=name: f"{name}: {text}")
    assert len({float(losses.terms[name]) for name in ("contrastive", "matching", "writing")}) == 3


def test_all_but_attention_to_the_text_is_shared(objective):
    reader, writer = (dict(part.named_parameters()) for part in (objective.reader, objective.writer.trunk))
    for name, weight in reader.items():
        is_own = ".attention." in name or ".attention_norm." in name
        assert (writer[name] is weight) != is_own, name


def test_others_are_drawn_by_how_alike_they_seem():
    generator = torch.Generator().manual_seed(0)
    pictures, texts = (torch.randn(4, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    scale, draws = torch.tensor(2.0), 4000
    torch.manual_seed(1)
    drawn = [hard_negatives(pictures, texts, scale) for _ in range(draws)]
    cosines = functional.normalize(pictures) @ functional.normalize(texts).T
    for found, rows in ((torch.stack([one.texts for one in drawn]), cosines),
                        (torch.stack([one.pictures for one in drawn]), cosines.T)):  # fmt: skip
        wanted = torch.softmax(2.0 * rows, dim=1) + LEAST
        for row in range(4):
            wanted[row, row] = 0
            shares = wanted[row] / wanted[row].sum()
            came = torch.bincount(found[:, row], minlength=4) / draws
            assert came[row] == 0
            deviations = (shares * (1 - shares) / draws).sqrt()
            assert bool(((came - shares).abs() <= 4 * deviations).all())
    with pytest.raises(InputError, match="two pictures or more"):
        hard_negatives(pictures[:1], texts[:1], scale)


def test_losses_of_guesses_are_known():
    logits = torch.zeros(5, 2, dtype=torch.float64)
    assert matching_loss(logits, torch.tensor([1, 0, 0, 1, 0]).bool()).item() == pytest.approx(0.6931472)
    logits = torch.randn(2, 4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    tokens = torch.tensor([[1, 2, 3, 0], [1, 6, 5, 4]])
    told = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1]]).bool()
    places = ((0, 1), (0, 2), (1, 2), (1, 3))
    wanted = sum(slow_next_token(logits[row, place - 1], tokens[row, place]) for row, place in places) / 4
    torch.testing.assert_close(next_token_loss(logits, tokens, told, SMOOTHING), wanted)
    nothing = next_token_loss(logits, tokens, torch.zeros_like(told), SMOOTHING)
    assert nothing.item() == 0


def test_the_kept_model_is_what_was_learned(objective, tmp_path):
    settings = vit.Config.model_validate({**VIT, "image_size": objective.trunk.image_size})
    pictures = encoder.Config(trunk=settings, pool=objective.settings.pool).build()
    pictures.trunk.load_state_dict(objective.trunk.state_dict())
    model = matcher_and_captioner(pictures, objective)
    save_model(model, tmp_path, Card.now("A test", "nothing", "none", 1.0, {}, {}), "{}")
    again = load_model(artefact.read(tmp_path), WholeBlip).eval()
    batch = batch_for(objective)
    tokens, told = batch.texts[0].cut()
    single = objective.float()
    with torch.no_grad():
        features = single.trunk(single.trunk.normalize(batch.images[0]))
        cosines = functional.normalize(single.projection(single.pool(features)), dim=1)
        words = functional.normalize(single.text_projection(single.reader(tokens)[:, 0]), dim=1)
        scores = single.logit_scale.exp() * cosines @ words.T
        torch.testing.assert_close(again(batch.images[0], tokens), scores, rtol=1e-4, atol=1e-4)
        seen = again.image_encoder.features(batch.images[0])
        wanted = single.match_head(single.reader(tokens, single.reader.show(features.tokens))[:, 0])
        torch.testing.assert_close(again.match(seen, tokens), wanted, rtol=1e-4, atol=1e-4)
        written = single.writer(tokens, features.tokens)
        torch.testing.assert_close(again.writer(tokens, seen.tokens)[told], written[told], rtol=1e-4, atol=1e-4)
    assert again.writing.captions
    assert again.writer.trunk.token_embedding is again.reader.token_embedding
