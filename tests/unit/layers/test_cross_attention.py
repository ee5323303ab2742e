"""Cross-attention: PyTorch's own module with the same weights gives the same numbers."""

from __future__ import annotations

import torch
from torch import nn

from chiasm.layers.attention import recorded
from chiasm.layers.cross_attention import CrossAttention


def test_it_is_multi_head_attention():
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(12, 3, batch_first=True, kdim=8, vdim=8).double()
    part = CrossAttention(3, nn.Linear(12, 12), nn.Linear(8, 24), nn.Linear(12, 12)).double()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.normal_()
        assert reference.q_proj_weight is not None
        assert reference.k_proj_weight is not None
        assert reference.v_proj_weight is not None
        part.query.weight.copy_(reference.q_proj_weight)
        part.query.bias.copy_(reference.in_proj_bias[:12])
        part.key_value.weight.copy_(torch.cat([reference.k_proj_weight, reference.v_proj_weight]))
        part.key_value.bias.copy_(reference.in_proj_bias[12:])
        part.projection.load_state_dict(reference.out_proj.state_dict())
    queries, tokens = torch.randn(2, 4, 12, dtype=torch.float64), torch.randn(2, 7, 8, dtype=torch.float64)
    expected, weights = reference(queries, tokens, tokens, average_attn_weights=False)
    torch.testing.assert_close(part(queries, tokens), expected)
    with recorded(part) as seen:
        torch.testing.assert_close(part(queries, tokens), expected)
    torch.testing.assert_close(seen, [weights])
