"""Pools of texts: whose vector stands for the whole."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter

from chiasm.heads.text_pool import AnyTextPool

TOKENS = torch.tensor([[8, 3, 9, 9, 0], [8, 1, 2, 3, 9], [8, 1, 9, 4, 4]])


def pool(kind: str, **settings: int):
    return TypeAdapter(AnyTextPool).validate_python({"kind": kind, **settings}).build()


@pytest.mark.parametrize(
    ("kind", "settings", "places"),
    [
        ("end_token", {"end_token": 9}, [2, 4, 2]),
        ("end_token", {"end_token": 4}, [0, 0, 3]),
        ("highest_token", {}, [2, 4, 2]),
        ("first_place", {}, [0, 0, 0]),
        ("last_place", {}, [4, 4, 4]),
    ],
)
def test_each_kind_takes_its_place(kind, settings, places):
    vectors = torch.randn(3, 5, 4)
    part = pool(kind, **settings)
    assert part.places(TOKENS).tolist() == places
    expected = torch.stack([vectors[row, place] for row, place in enumerate(places)])
    assert torch.equal(part(vectors, TOKENS), expected)


def test_a_class_token_stands_after_the_tokens():
    vectors = torch.randn(3, 6, 4)
    assert torch.equal(pool("class_token")(vectors, TOKENS), vectors[:, -1])
