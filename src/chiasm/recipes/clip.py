"""CLIP: tie a trunk to language by pictures with captions; each finds the other among those of a batch.

With `--objective.locked` the trunk of `--start-from` stays as it is and texts learn to be read by it (LiT). Where
`--start-from` names a model that reads texts already, ours or public, its text side learns on too, with its vocabulary.

Lab note: 1,600 photos of Flickr8k with their captions, a ViT of 1.3 million parameters at 96 px that had learned from
the photos alone by SimCLR for 25 minutes: after 551 steps of 256, 8 minutes on two cores with AMX, 14.4 % of captions
find their photo among the first ten of 400 others (chance 2.5 %), from scratch 10.0 %, with the trunk locked 9.4 %.
docs/results.md has the commands. The rate is a usual one, not a tuned one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.objectives import clip as method
from chiasm.recipes._begun import contrasted
from chiasm.recipes._pretraining import TrainingReport
from chiasm.recipes._run import Run
from chiasm.recipes._tied import ENGINE, TRUNK

OBJECTIVE = method.Config()


def clip(
    data: Source,
    out: Path,
    *,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Tie a trunk to language, by CLIP.

    Args:
        data: pictures with captions: a table, shards with texts, or `world:train?size=64`; pictures without a caption
            are passed over.
        out: new folder for the run: model, tokenizer, card, log, checkpoint.
        trunk: what sees; unless given, sizes of pictures and patches are chosen from the data, and its stem is early
            convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns. `--objective.text.vocab-size` is the most tokens of the vocabulary, which is learned
            from the texts. With settings of the text side, `embed_dim` or `pool` these are new, whatever the model of
            `--start-from` had.
        engine: the loop; the rate is 0.00001 unless given where a text side learns on.
        run: how long, from where, watched by whom: the options of every recipe.

    Raises:
        InputError: no picture has a caption, or a trunk that never learned is to stay as it is.
    """
    return contrasted("clip", data, out, trunk, objective, engine, run).run()
