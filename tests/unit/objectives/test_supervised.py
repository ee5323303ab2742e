"""Supervised learning: the loss of its parts, the view, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from chiasm.core.errors import InputError
from chiasm.core.views import Views
from chiasm.objectives.supervised import Config, Supervised
from chiasm.trunks import vit


def objective(**settings: object) -> Supervised:
    torch.manual_seed(0)
    trunk = vit.Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2).build()
    return Config.parse({"num_classes": 3, **settings}, "the objective").build(trunk)


def batch(*labels: int) -> Views:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (len(labels), 3, 16, 16), generator=generator, dtype=torch.uint8)
    return Views((images,), torch.arange(len(labels)), labels=torch.tensor(labels))


def test_the_loss_is_the_cross_entropy_of_the_pooled_tokens():
    learner = objective(label_smoothing=0.2)
    examples = batch(0, 2, -1, 1)
    assert examples.labels is not None
    losses = learner(examples, 0.0)
    logits = learner.head(learner.trunk(learner.trunk.normalize(examples.images[0])).prefix[:, 0])
    known = examples.labels >= 0
    expected = functional.cross_entropy(logits[known], examples.labels[known], label_smoothing=0.2)
    torch.testing.assert_close(losses.total, expected)
    right = logits[known].argmax(dim=1) == examples.labels[known]
    assert float(losses.terms["accuracy"]) == pytest.approx(float(right.float().mean()))


def test_what_is_unknown_teaches_nothing():
    learner = objective()
    losses = learner(batch(-1, -1), 0.0)
    assert float(losses.total.detach()) == 0
    assert float(losses.terms["accuracy"]) == 0
    with pytest.raises(InputError, match="labels"):
        learner(batch(0, 1)._replace(labels=None), 0.0)


def test_one_view_with_light_jitter():
    (view,) = objective(min_area=0.3, colour=0.2).views()
    assert (view.size_px, view.min_area, view.flip, view.grey, view.blur, view.solarise) == (16, 0.3, 0.5, 0, None, 0)
    assert view.jitter is not None
    assert (view.jitter.brightness, view.jitter.hue) == (0.2, 0)
