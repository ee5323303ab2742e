"""BLIP: tie a trunk to captions by vectors, by telling true pairs from false ones, and by learning to write them.

Lab note: no run has been measured yet; the rate is a usual one, not a tuned one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.objectives import blip as method
from chiasm.recipes._pretraining import TrainingReport
from chiasm.recipes._run import Run
from chiasm.recipes._tied import ENGINE, TRUNK, matcher_and_captioner, tied

OBJECTIVE = method.Config()


def blip(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Tie a trunk to language, teach it which texts belong to a picture and to write captions, by BLIP.

    Args:
        data: pictures with captions; those that lack one are passed over.
        out: new folder for the run: model, tokenizer, card, log, checkpoint.
        trunk: what sees; unless given, sizes of pictures and patches are chosen from the data, and its stem is early
            convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns. `--objective.text.vocab-size` is the most tokens of the vocabulary, which is learned
            from the texts.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.

    Raises:
        InputError: no picture has a caption.
    """
    return tied("blip", data, out, trunk, objective, engine, matcher_and_captioner, run).run()
