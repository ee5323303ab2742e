"""Vision and language: tie a trunk to captions by vectors, and learn to write captions and answers on it.

With `--objective.locked` the trunk of `--start-from` stays as it is and texts learn to be read by it (LiT).

Lab note: see docs/results.md for the figures of the commands named there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from chiasm.core.example import Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.layers.patch import Convolutions
from chiasm.objectives import vision_language as method
from chiasm.recipes._language import Language, check_locked, writing_model
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.trunks import vit

TRUNK, OBJECTIVE = vit.Config(), method.Config()
ENGINE = Settings(lr=1e-3, lr_scaling="root")
USUAL = {"stem": Convolutions()}


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
    check_locked(objective, run.get("start_from"))
    language = Language(data, objective.text.vocab_size, run.get("seed", 0))
    return Pretraining(
        name="vision_language",
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        objective=objective,
        wire=lambda eye: objective.reading(language.num_tokens).build(eye),
        model=writing_model,
        language=language,
        pooling=objective.pool,
        engine=engine,
        usual_engine=ENGINE,
        **run,
    ).run()
