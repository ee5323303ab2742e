"""Vision and language: tie a trunk to captions by vectors, and learn to write captions and answers on it.

With `--objective.locked` the trunk of `--start-from` stays as it is and texts learn to be read by it (LiT).

Lab note: captions of 1,600 photos of Flickr8k, from a trunk that had learned from the photos alone: 12 minutes on two
cores with AMX give recall at 10 of 16.1 % among 400 photos (chance 2.5 %), and captions with a CIDEr-D of 0.19, no more
than one caption for all photos has (docs/results.md). `recipes.starter` has a longer run. The rate is a usual one, not
a tuned one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.objectives import vision_language as method
from chiasm.recipes._pretraining import TrainingReport
from chiasm.recipes._run import Run
from chiasm.recipes._tied import ENGINE, TRUNK, tied, writing_model

OBJECTIVE = method.Config()


def vision_language(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Tie a trunk to language and teach it to write captions and answers.

    Args:
        data: pictures with captions and questions, as `world:train?size=64` has; pictures that lack one are passed
            over. For captions alone leave answers out by `--objective.answer-weight 0`.
        out: new folder for the run: model, tokenizer, card, log, checkpoint.
        trunk: what sees; unless given, sizes of pictures and patches are chosen from the data, and its stem is early
            convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns. `--objective.text.vocab-size` is the most tokens of the vocabulary, which is learned
            from the texts.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.

    Raises:
        InputError: no picture has a caption, or a trunk that never learned is to stay as it is.
    """
    return tied("vision_language", data, out, trunk, objective, engine, writing_model, run).run()
