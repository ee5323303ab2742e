"""The decoder of CoCa against its formulas written out; nothing from behind; what is shown once is shown for good."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chiasm.core.errors import InputError
from chiasm.heads.multimodal_decoder import Config, MultimodalDecoder
from chiasm.layers.memory import Memory


@pytest.fixture
def made() -> MultimodalDecoder:
    torch.manual_seed(0)
    decoder = Config(depth=2, num_heads=2, layer_scale=0.1).build(8, 6, 17).double()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return decoder


def given() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 5, 8), (3, 4, 6))]
    return draw[0], draw[1]


def attended(query, key, value, backwards: bool) -> torch.Tensor:
    """Two heads of one picture, row by row."""
    rows = []
    for place in range(len(query)):
        last = place + 1 if backwards else len(key)
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            shares = (key[:last, head] @ query[place, head] / 2).softmax(dim=0)
            heads.append(shares @ value[:last, head])
        rows.append(torch.cat(heads))
    return torch.stack(rows)


def slow(decoder: Any, vectors: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Logits of one text."""

    def norm(part: Any, rows: torch.Tensor) -> torch.Tensor:
        mean, spread = rows.mean(dim=1, keepdim=True), rows.var(dim=1, keepdim=True, correction=0)
        return (rows - mean) / (spread + 1e-5).sqrt() * part.weight + part.bias

    def think(block: Any, rows: torch.Tensor) -> torch.Tensor:
        inner = block.mlp.up(norm(block.mlp_norm, rows))
        gelu = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
        return rows + block.mlp_scale.gain * block.mlp.down(gelu)

    for own, cross in zip(decoder.blocks, decoder.cross_blocks, strict=True):
        joint = own.attention.query_key_value(norm(own.attention_norm, vectors)).chunk(3, dim=1)
        looked = own.attention.projection(attended(*joint, backwards=True))
        vectors = think(own, vectors + own.attention_scale.gain * looked)
        query = cross.attention.query(norm(cross.attention_norm, vectors))
        key, value = cross.attention.key_value(norm(cross.shown_norm, picture)).chunk(2, dim=1)
        looked = cross.attention.projection(attended(query, key, value, backwards=False))
        vectors = think(cross, vectors + cross.attention_scale.gain * looked)
    return norm(decoder.norm, vectors) @ decoder.projection.weight.T


def test_logits_are_those_of_the_formula(made):
    vectors, pictures = given()
    found = made(vectors, pictures)
    for row in range(3):
        torch.testing.assert_close(found[row], slow(made, vectors[row], pictures[row]))


def test_pieces_are_the_whole(made):
    vectors, pictures = given()
    shown, memory, whole = made.show(pictures), Memory(), made(vectors, pictures)
    for first, last in ((0, 2), (2, 3), (3, 5)):
        piece = made.read(vectors[:, first:last], shown, memory.after(last - first))
        torch.testing.assert_close(made.logits(piece), whole[:, first:last])


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="3 does not divide 8"):
        Config(num_heads=3).build(8, 6, 17)
