"""Which picture each token of a text belongs to."""

from __future__ import annotations

import torch

from chiasm.ops.interleaving import latest_picture


def test_the_picture_before_a_token_and_no_other():
    marks = torch.tensor([[0, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]).bool()
    found = latest_picture(marks, 3)
    for row, text in enumerate(marks.tolist()):
        for place in range(6):
            number = sum(text[: place + 1])
            assert found[row, place].tolist() == [picture == number for picture in (1, 2, 3)]
