"""MAE and SimMIM: which trunk learns how, what is hidden from it, what the figures say, the pictures to look at."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.protocols import Trunk
from chiasm.core.seeds import stream
from chiasm.core.views import Views
from chiasm.data.augment import masks
from chiasm.layers.hiding import Replaced
from chiasm.layers.patch import Convolutions
from chiasm.objectives import mae, simmim
from chiasm.objectives._masked_pixels import MaskedPixels
from chiasm.objectives.simmim import fitting_unit_px
from chiasm.ops.patches import patchify, take_tokens
from chiasm.trunks import convnext, swin, vit

SIDE, BATCH = 32, 4


def leaving_out(**settings: Any) -> Trunk:
    return vit.Config(image_size=SIDE, patch_size=4, embed_dim=16, depth=2, num_heads=2, **settings).build()


def replacing() -> Trunk:
    return leaving_out(hiding=Replaced())


def in_stages(side: int = SIDE) -> Trunk:
    shape: dict[str, Any] = {"depths": (1, 1, 1), "num_heads": (1, 2, 4), "window_sizes": (4,)}
    return swin.Config(image_size=side, patch_size=4, embed_dim=8, hiding=Replaced(), **shape).build()


TRUNKS = {"vit": leaving_out, "vit with a mask token": replacing, "swin": in_stages}


def learning(kind: str, **settings: Any) -> MaskedPixels:
    torch.manual_seed(0)
    return mae.Config(**settings).build(TRUNKS[kind]())


def batch_for(objective: MaskedPixels, seed: int = 1) -> Views:
    """Pictures of smooth colours, masked as the objective asks for."""
    (spec,) = objective.views()
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(BATCH, 3, 4, 4, generator=generator)
    images = nn.functional.interpolate(coarse, size=spec.size_px, mode="bilinear") * 255
    assert spec.masking is not None
    mask = torch.from_numpy(masks.sample(spec.masking, BATCH, stream(seed, "mask")))
    return Views((images.to(torch.uint8),), torch.arange(BATCH), (mask,))


@pytest.fixture(params=TRUNKS)
def objective(request: pytest.FixtureRequest) -> MaskedPixels:
    return learning(request.param)


def mask_of(batch: Views) -> Tensor:
    (mask,) = batch.masks
    assert mask is not None
    return mask


def at_pixels(mask: Tensor, side_px: int) -> Tensor:
    side = round(mask.shape[1] ** 0.5)
    size = side_px // side
    return mask.view(-1, 1, side, side).repeat_interleave(size, 2).repeat_interleave(size, 3)


def test_the_trunk_tells_how_it_learns():
    assert isinstance(learning("vit"), mae.MaskedAutoencoder)
    assert isinstance(learning("vit with a mask token"), simmim.SimMIM)
    assert isinstance(learning("swin"), simmim.SimMIM)
    given = learning("swin", simmim=simmim.Config(mask_ratio=0.25, mask_unit_px=8))
    masking = given.views()[0].masking
    assert masking is not None
    assert masking.model_dump() == {"how": {"kind": "random", "ratio": 0.25, "unit": 2}, "grid": 8}


@pytest.mark.parametrize("trunk", [convnext.Config(image_size=SIDE), vit.Config(image_size=SIDE, stem=Convolutions())])
def test_a_trunk_from_which_nothing_can_be_hidden_is_told_what_to_do(trunk):
    with pytest.raises(InputError, match=r"--trunk.stem.kind linear"):
        mae.Config().build(trunk.build())


def test_simmim_needs_a_mask_token():
    with pytest.raises(InputError, match=r"--trunk.hiding.kind mask_token"):
        simmim.Config().build(leaving_out())


@pytest.mark.parametrize("ratio", [0.001, 0.999])
def test_a_mask_must_hide_and_show_something(ratio):
    with pytest.raises(InputError, match="of 64 places is"):
        learning("vit", mask_ratio=ratio)
    with pytest.raises(InputError, match="places is"):
        learning("swin", simmim=simmim.Config(mask_ratio=ratio))


def test_the_view_is_a_crop_with_its_own_colours(objective):
    (spec,) = objective.views()
    assert (spec.size_px, spec.flip, spec.max_area) == (SIDE, 0.5, 1)
    assert (spec.jitter, spec.grey, spec.blur, spec.solarise) == (None, 0, None, 0)
    assert spec.min_area == (0.2 if isinstance(objective, mae.MaskedAutoencoder) else 0.67)


def test_as_many_are_hidden_in_every_picture(objective):
    (spec,) = objective.views()
    share = 0.75 if isinstance(objective, mae.MaskedAutoencoder) else 0.6
    assert spec.masking is not None
    hidden = masks.sample(spec.masking, 50, stream(3, "mask")).sum(axis=1)
    assert set(hidden.tolist()) == {round(share * 64)}
    assert len({row.tobytes() for row in masks.sample(spec.masking, 50, stream(3, "mask"))}) == 50


@pytest.mark.parametrize(("side", "unit_px"), [(32, 4), (64, 8), (96, 16), (128, 16), (192, 32), (224, 32), (384, 64)])
def test_squares_are_as_large_as_in_the_paper_for_the_size(side, unit_px):
    assert fitting_unit_px(side) == unit_px


def test_hidden_pixels_do_not_reach_the_trunk(objective):
    batch = batch_for(objective)
    images = objective.trunk.normalize(batch.images[0]).requires_grad_()
    mask = mask_of(batch)
    features = objective.trunk(images, patch_mask=mask)
    weights = torch.randn(features.patches.shape, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad((features.patches * weights).sum() + features.prefix.sum(), images)
    hidden = at_pixels(mask, SIDE).expand_as(gradient)
    assert not gradient[hidden].any()
    assert (gradient[~hidden] != 0).float().mean() > 0.9


def test_a_batch_without_a_mask_is_refused(objective):
    batch = batch_for(objective)
    for none in ((), (None,)):
        with pytest.raises(ValueError, match="need a mask"):
            objective(batch._replace(masks=none), 0.0)


class Told(nn.Module):
    """A part that gives the same answer to everything."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, *_: Any) -> Tensor:
        return self.answer


def true_answer(objective: MaskedPixels, batch: Views, normalised: bool) -> Told:
    images = objective.trunk.normalize(batch.images[0])
    if isinstance(objective, simmim.SimMIM):
        return Told(patchify(images, objective.trunk.stride_px))
    hidden = mask_of(batch).nonzero()[:, 1].view(BATCH, -1)
    pixels = take_tokens(patchify(images, 4), hidden)
    centred = pixels - pixels.mean(dim=2, keepdim=True)
    return Told(centred / (pixels.var(dim=2, keepdim=True) + 1e-6).sqrt() if normalised else pixels)


def answering(objective: MaskedPixels, answer: nn.Module) -> MaskedPixels:
    setattr(objective, "head" if isinstance(objective, simmim.SimMIM) else "decoder", answer)
    return objective


@pytest.mark.parametrize("kind", TRUNKS)
@pytest.mark.parametrize("normalised", [True, False])
def test_the_true_answer_explains_everything_and_is_the_picture(kind, normalised):
    objective = learning(kind, **{} if "mask token" in kind or kind == "swin" else {"normalised_target": normalised})
    batch = batch_for(objective)
    losses = answering(objective, true_answer(objective, batch, normalised))(batch, 0.0)
    assert float(losses.total.detach()) < 1e-6
    assert float(losses.terms["explained"]) == pytest.approx(1, abs=1e-5)
    assert objective.doubt({name: float(value) for name, value in losses.terms.items()}) is None
    assert torch.equal(objective.reconstruct(batch), batch.images[0])


@pytest.mark.parametrize("kind", TRUNKS)
@pytest.mark.parametrize("normalised", [True, False])
def test_a_flat_answer_explains_nothing_and_is_told(kind, normalised):
    objective = learning(kind, **{} if "mask token" in kind or kind == "swin" else {"normalised_target": normalised})
    batch = batch_for(objective)
    true = true_answer(objective, batch, normalised).answer.detach()
    hidden = at_pixels(mask_of(batch), SIDE).expand(-1, 3, -1, -1)
    if isinstance(objective, simmim.SimMIM):
        mean = objective.trunk.normalize(batch.images[0])[hidden].mean()
    else:
        mean = true.mean()
    losses = answering(objective, Told(torch.full_like(true, float(mean))))(batch, 0.0)
    assert float(losses.terms["explained"]) == pytest.approx(0, abs=1e-5)
    doubt = objective.doubt({name: float(value) for name, value in losses.terms.items()})
    assert doubt is not None
    assert "explained" in doubt


def test_only_what_was_hidden_is_filled_in(objective):
    batch = batch_for(objective)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    filled = objective.reconstruct(batch)
    hidden = at_pixels(mask_of(batch), SIDE).expand_as(filled)
    assert filled.dtype == torch.uint8
    assert torch.equal(filled[~hidden], batch.images[0][~hidden])
    assert (filled[hidden] != batch.images[0][hidden]).float().mean() > 0.5
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


@pytest.mark.parametrize("side", [36, 40, 52])
def test_pictures_that_fill_no_whole_tokens_are_told_to_their_edges(side):
    """The last stage's tokens of 16 px reach beyond these pictures."""
    torch.manual_seed(0)
    objective = mae.Config().build(in_stages(side))
    batch = batch_for(objective)
    losses = objective(batch, 0.0)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert objective.reconstruct(batch).shape == (BATCH, 3, side, side)
    perfect = answering(
        objective,
        Told(
            patchify(nn.functional.pad(objective.trunk.normalize(batch.images[0]), (0, -side % 16, 0, -side % 16)), 16)
        ),
    )
    assert torch.equal(perfect.reconstruct(batch), batch.images[0])


def test_what_is_learned_is_seen_in_the_figures(objective):
    batch = batch_for(objective)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    explained = []
    for _ in range(40):
        losses = objective(batch, 0.0)
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad()
        explained.append(float(losses.terms["explained"]))
    assert explained[-1] > max(0.2, explained[0])
