"""Products with a table of tokens: in float32 where texts are written, as autocast says where they are learned."""

import pytest
import torch
from torch.nn import functional

from chiasm.ops.token_logits import token_logits


@pytest.fixture
def parts() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    vectors, table, bias = (torch.randn(shape, generator=generator) for shape in ((2, 3, 16), (50, 16), (50,)))
    return vectors, table, bias


def test_what_is_written_is_not_rounded(parts):
    vectors, table, bias = parts
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = token_logits(vectors, table, bias)
    assert found.dtype == torch.float32
    assert torch.equal(found, functional.linear(vectors, table, bias))


def test_what_is_learned_is_computed_as_autocast_says(parts):
    vectors, table, _ = parts
    table.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = token_logits(vectors, table)
    assert found.dtype == torch.bfloat16
    found.float().square().sum().backward()
    assert table.grad is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_table_says_in_what_it_is_computed(parts, dtype):
    vectors, table, bias = (part.to(dtype) for part in parts)
    with torch.no_grad():
        assert token_logits(vectors.float(), table, bias).dtype == dtype
