"""MAE and SimMIM against the models of transformers, in float64: the loss and the gradient of every weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from references import redrawn
from torch import Tensor, nn

from chiasm.core.views import Views
from chiasm.layers.hiding import Replaced
from chiasm.layers.mlp import GeluMlp
from chiasm.layers.positions import SinCos
from chiasm.objectives import mae, simmim
from chiasm.ops.positions import sincos_table
from chiasm.trunks import swin, vit
from chiasm.weights.layouts import _swin, hf_swin
from chiasm.weights.layouts._names import Rules, flat_patches
from chiasm.weights.layouts._transformers import BLOCKS, VIT, trunk_weights

transformers = pytest.importorskip("transformers")

SIDE, PATCH, BATCH = 32, 4, 3
Named = dict[str, Tensor]

DECODER: Rules = (
    (r"^decoder_layers\.", "blocks."),
    *BLOCKS,
    (r"^decoder_embed\.", "embedding."),
    (r"^decoder_norm\.", "norm."),
    (r"^decoder_pred\.", "projection."),
)


def batch_of(mask: Tensor) -> Views:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (BATCH, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return Views((images,), torch.arange(BATCH), (mask,))


def random_mask(side: int, num_hidden: int, unit: int = 1, seed: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.rand(BATCH, side * side, generator=generator).argsort(1).argsort(1)
    square = (ranks < num_hidden).view(BATCH, side, side)
    return square.repeat_interleave(unit, 1).repeat_interleave(unit, 2).flatten(1)


def parts(named: Named, first: str) -> Named:
    return {name.removeprefix(first): tensor for name, tensor in named.items() if name.startswith(first)}


def under(first: str, named: Named) -> Named:
    return {f"{first}{name}": tensor for name, tensor in named.items()}


def channels_first(rows: Tensor, patch: int) -> Tensor:
    """Rows for (row, column, channel) of a patch, as rows for (channel, row, column)."""
    return rows.unflatten(0, (patch, patch, 3)).movedim(2, 0).flatten(0, 2)


def mae_names(named: Named) -> Named:
    """Weights or gradients of the reference under our names."""
    encoder = trunk_weights(parts(named, "vit."), VIT, [r"embeddings\.position_embeddings"])
    decoder = trunk_weights(parts(named, "decoder."), DECODER, ["decoder_pos_embed"])
    for name in ("projection.weight", "projection.bias"):
        decoder[name] = channels_first(decoder[name], PATCH)
    return under("trunk.", encoder) | under("decoder.", decoder)


def check_same(ours: nn.Module, reference: nn.Module, names: Callable[[Named], Named], run: Callable[[], Any]) -> None:
    """Take the reference's weights, run both, compare all gradients.

    Args:
        ours: the objective, in float64.
        reference: the same.
        names: weights or gradients of the reference under our names.
        run: both losses.
    """
    learning = {name: part for name, part in reference.named_parameters() if part.requires_grad}
    ours.load_state_dict(names({name: part.detach() for name, part in learning.items()}))
    found, expected = run()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    found.backward()
    expected.backward()
    gradients = names({name: part.grad for name, part in learning.items() if part.grad is not None})
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None, name
        expected_gradient = gradients.pop(name).view_as(parameter)
        torch.testing.assert_close(parameter.grad, expected_gradient, rtol=1e-8, atol=1e-13, msg=f"{name} {{}}".format)
    assert not gradients


def reference_mae(normalised: bool) -> Any:
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
    decoder = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
    config = transformers.ViTMAEConfig(
        **shape,
        **{f"decoder_{name}": value for name, value in decoder.items()},
        image_size=SIDE,
        patch_size=PATCH,
        norm_pix_loss=normalised,
        mask_ratio=0.75,
    )
    reference = transformers.ViTMAEForPreTraining(config)
    redrawn(reference)
    # Fixed positions; a reference that is made anew has zeros there, those that are published have the formula.
    side = SIDE // PATCH
    formula = transformers.models.vit_mae.modeling_vit_mae.build_2d_sinusoidal_position_embedding
    for table in (reference.vit.embeddings.position_embeddings, reference.decoder.decoder_pos_embed):
        own = sincos_table((side, side), table.shape[-1])
        column_first = formula(side, side, table.shape[-1]).chunk(2, dim=1)[::-1]
        torch.testing.assert_close(own, torch.cat(column_first, dim=1), rtol=0, atol=1e-6)
        # Ours to the last bit, so that nothing but the rest can differ.
        table.data.zero_()
        table.data[0, 1:] = own
    return reference


def our_mae(normalised: bool) -> mae.MaskedAutoencoder:
    trunk = vit.Config(
        image_size=SIDE,
        patch_size=PATCH,
        embed_dim=16,
        depth=3,
        num_heads=2,
        positions=SinCos(),
        mlp=GeluMlp(hidden_dim=24),
        norm_eps=1e-12,
    )
    decoder = {"embed_dim": 12, "depth": 2, "num_heads": 3, "mlp": {"hidden_dim": 20}, "norm_eps": 1e-12}
    settings = mae.Config.model_validate({"normalised_target": normalised, "decoder": decoder})
    objective = settings.build(trunk.build())
    assert isinstance(objective, mae.MaskedAutoencoder)
    return objective.double()


@pytest.mark.parametrize("normalised", [True, False])
def test_mae_is_that_of_transformers(normalised):
    objective, reference = our_mae(normalised), reference_mae(normalised)
    mask = random_mask(SIDE // PATCH, 48)
    batch = batch_of(mask)
    # The reference hides where its noise is highest.
    noise = mask + torch.linspace(0, 0.5, mask.shape[1])

    def run() -> tuple[Tensor, Tensor]:
        found = objective(batch, 0.0)
        answer = reference(objective.trunk.normalize(batch.images[0]), noise=noise)
        assert torch.equal(answer.mask.bool(), mask)
        return found.total, answer.loss

    check_same(objective, reference, mae_names, run)


def test_the_decoder_tells_what_that_of_transformers_does():
    """Every predicted number, not only their mean error; the reference predicts visible places too."""
    objective, reference = our_mae(False), reference_mae(False)
    objective.load_state_dict(mae_names({name: part.detach() for name, part in reference.named_parameters()}))
    mask = random_mask(SIDE // PATCH, 48)
    images = objective.trunk.normalize(batch_of(mask).images[0])
    with torch.no_grad():
        noise = mask + torch.linspace(0, 0.5, mask.shape[1])
        theirs = reference(images, noise=noise).logits[mask].view(BATCH, 48, -1)
        hidden = mask.nonzero()[:, 1].view(BATCH, 48)
        ours = objective.decoder(objective.trunk(images, patch_mask=mask), hidden)
    expected = theirs.unflatten(2, (PATCH, PATCH, 3)).movedim(4, 2).flatten(2)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def swin_names(named: Named) -> Named:
    trunk = _swin.weights({name: part for name, part in named.items() if "decoder" not in name}, hf_swin._RULES)
    head = {name.replace("decoder.0.", "linear."): part for name, part in parts(named, "").items() if "decoder" in name}
    return under("trunk.", trunk) | under("head.", flat_patches(head, "linear.weight"))


def vit_names(named: Named) -> Named:
    rules = ((r"^vit\.", ""), *VIT)
    encoder = trunk_weights({name: part for name, part in named.items() if "decoder" not in name}, rules)
    table = encoder.pop("positions.table")
    head = {name.replace("decoder.0.", "linear."): part for name, part in named.items() if "decoder" in name}
    encoder["positions.table"] = table[:, 1:]
    return under("trunk.", encoder) | under("head.", flat_patches(head, "linear.weight"))


def simmim_run(objective: simmim.SimMIM, reference: Any, mask: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    batch = batch_of(mask)

    def run() -> tuple[Tensor, Tensor]:
        # The reference adds 1e-5 to the number of hidden pixels, in float32, where it vanishes unless there are none.
        answer = reference(objective.trunk.normalize(batch.images[0]), bool_masked_pos=mask)
        return objective(batch, 0.0).total, answer.loss

    return run


@pytest.mark.parametrize("unit", [1, 2, 4])
def test_simmim_with_swin_is_that_of_transformers(unit):
    """Also where a token of the last stage stands for hidden and visible pixels."""
    shape: dict[str, Any] = {
        "image_size": SIDE,
        "patch_size": 2,
        "embed_dim": 16,
        "depths": (2, 1),
        "num_heads": (2, 4),
    }
    config = transformers.SwinConfig(**shape, window_size=4, encoder_stride=4, drop_path_rate=0.0)
    reference = redrawn(transformers.SwinForMaskedImageModeling(config))
    trunk = swin.Config(**shape, window_sizes=(4,), hiding=Replaced()).build()
    objective = mae.Config().build(trunk).double()
    assert isinstance(objective, simmim.SimMIM)
    side = 16 // unit
    run = simmim_run(objective, reference, random_mask(side, round(0.6 * side * side), unit))
    check_same(objective, reference, swin_names, run)


def test_simmim_with_vit_is_that_of_transformers():
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=SIDE,
        patch_size=PATCH,
        encoder_stride=PATCH,
    )
    reference = redrawn(transformers.ViTForMaskedImageModeling(config))
    with torch.no_grad():
        # Ours has no position for the class token: it is the same sum.
        reference.vit.embeddings.position_embeddings[:, :1] = 0
    settings = vit.Config(
        image_size=SIDE,
        patch_size=PATCH,
        embed_dim=16,
        depth=2,
        num_heads=2,
        mlp=GeluMlp(hidden_dim=24),
        norm_eps=1e-12,
        hiding=Replaced(),
    )
    objective = simmim.Config().build(settings.build()).double()
    run = simmim_run(objective, reference, random_mask(8, 30))
    check_same(objective, reference, vit_names, run)


def test_a_weight_in_a_wrong_place_is_noticed():
    """What the comparisons above rest on."""
    objective, reference = our_mae(True), reference_mae(True)
    weights = mae_names({name: part.detach() for name, part in reference.named_parameters()})
    batch = batch_of(random_mask(SIDE // PATCH, 48))
    losses = []
    for part in (weights["decoder.projection.weight"], weights["decoder.projection.weight"].flip(0)):
        objective.load_state_dict({**weights, "decoder.projection.weight": part})
        losses.append(float(objective(batch, 0.0).total.detach()))
    assert abs(losses[0] - losses[1]) > 1e-3
