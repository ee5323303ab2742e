"""Starter: a whole model of one's own: a trunk that learns without labels, then words, captions and answers on it.

The first part of a run is DINOv2 on the pictures alone; the rest ties the trunk to captions and teaches it to write, as
`vision-language` does.

Lab note: the model that ships as `starter` is the run of its card (`chiasm models show starter`), halved by `chiasm
compress half`: 90 minutes of two cores (Intel Xeon with AMX, bfloat16), 1.3 million pictures of the world, two fifths
of them close-ups. The one before it had a stem of four convolutions and six blocks, saw 0.6 million pictures, and named
55 % of close-ups where this one names 85 %. What was tried for the trunk: a classifier on it for 60 seconds, on
close-ups and single objects; right in the test split, in per cent of both (and pictures seen):

    6 blocks, a stem of 4 convolutions                     81, 42   (60,000)
    6 blocks, 3 more, `extra=(1, 1, 1)`                    90, 56   (49,000)
    4 blocks, the same                                     94, 66   (56,000)
    3 blocks, the same                                     96, 73   (62,000)
    6 blocks, `extra=(2, 2, 2)`                            82, 45   (40,000)
    6 blocks, as the first, 256 wide                       70, 27   (43,000)
    6 blocks, a stem of a small ResNet                     32, 8    (39,000)
    6 blocks, patches of 8 px                              28, 10   (20,000)

Four blocks, not three, since tokens of a scene have more to tell each other than a class. With scenes among the
pictures and the time that the whole objective takes, patches of 8 px behind a deeper stem were right in 68, 44 and 26 %
(close-ups, single objects, scenes), patches of 16 px in 80, 53 and 31 %. A rate of 0.001 at 128 pictures, and captions
and answers that weigh no more than the vectors, come from trials before: with 0.0014 and twice the weight, 38,000
pictures taught colours alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from chiasm.core.errors import InputError
from chiasm.core.example import Judged, Source
from chiasm.core.protocols import TrunkConfig
from chiasm.engine.budget import Minutes, described
from chiasm.engine.checkpoint import FILE_NAME, read_position
from chiasm.engine.device import wants_gpu
from chiasm.engine.processes import joined
from chiasm.engine.settings import Settings
from chiasm.heads import prototypes, writer
from chiasm.layers.patch import Convolutions
from chiasm.objectives import dinov2 as alone
from chiasm.objectives import vision_language as method
from chiasm.objectives._contrastive import SmallText
from chiasm.objectives._crops import Crops
from chiasm.recipes import dinov2
from chiasm.recipes._judged import Trials, judged, looked_up
from chiasm.recipes._phases import two_phases
from chiasm.recipes._pretraining import TrainingReport
from chiasm.recipes._run import Run
from chiasm.recipes._tied import tied, writing_model
from chiasm.recipes._words import differing
from chiasm.trunks import vit
from chiasm.weights.artefact import describe
from chiasm.weights.card import Card

TRUNK = vit.Config(
    embed_dim=192,
    depth=4,
    num_heads=4,
    patch_size=16,
    stem=Convolutions(extra=(1, 1, 1)),
    layer_scale=None,
    drop_path=0.0,
)
HEAD = prototypes.Config(hidden_dim=512, norm_last_layer=False)
PRETRAINING = alone.Config(crops=Crops(num_local=4, boundary=0.32), head=HEAD, patch_head=HEAD)
OBJECTIVE = method.Config(
    text=SmallText(embed_dim=128, depth=2, num_heads=4),
    writer=writer.Config(embed_dim=128, depth=3, num_heads=4),
    caption_weight=1.0,
    answer_weight=1.0,
)
ENGINE = Settings(batch_size=128, lr=1.4e-3, lr_scaling="root", warmup=0.05, betas=(0.9, 0.999), clip_norm=1.0)
_RATES = ("lr", "lr_scaling", "warmup", "betas", "weight_decay", "final_weight_decay", "clip_norm", "clip_by")
LIMITS = (
    "It knows pictures like those of {data} and the words of their captions, nothing else. Of other pictures it speaks "
    "with the same confidence, and wrongly; train a model on your own with `chiasm train`."
)


def starter(
    data: Source,
    out: Path,
    *,
    judge: Sequence[Judged] | None = None,
    trunk: TrunkConfig = TRUNK,
    pretraining: alone.Config = PRETRAINING,
    pretraining_share: float = 0.05,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Train a small model that embeds, classifies by names, finds, captions and answers.

    Args:
        data: pictures with captions and questions, as `world:train?size=64` has. For captions alone leave answers out
            by `--objective.answer-weight 0`.
        out: new folder for the run: model, tokenizer, card, log, checkpoint. The phase without labels leaves its own
            run beside it, in a folder of that name with `-before`.
        judge: pictures that the model is judged by in the end, by all that is known about them: classes, captions,
            questions. The card tells its scores; what cannot be told of them is noted there.
        trunk: what sees; unless given, sizes of pictures and patches are chosen from the data.
        pretraining: how it learns without labels: by DINOv2.
        pretraining_share: length of that phase as a share of the whole.
        objective: how it learns from texts.
        engine: the loop; the phase without labels takes its batch and its machine, and DINOv2's own rates.
        run: how long, from where, watched by whom: the options of every recipe.

    Raises:
        InputError: no picture has a caption, or the share leaves one phase nothing.
    """
    if not 0 < pretraining_share < 1:
        raise InputError("a --pretraining-share between 0 and 1", f"{pretraining_share} came", "give a fifth or so")
    trials = looked_up(judge or ())
    first = dinov2.prepared(data, out, trunk, pretraining, without_labels(engine), run)
    last = tied("vision_language", data, out, first.settled, objective, engine, writing_model, run)
    with joined(wants_gpu(engine)) as processes:
        report = two_phases(first, last, 1 - pretraining_share)
        if first.dry_run:
            return report.model_copy(update={"notes": (*report.notes, *trials.notes)})
        words = ["chiasm", "train", "starter", "--data", data.name, "--out", str(out)]
        words += [word for source in judge or () for word in ("--judge", source.name)]
        words += differing("trunk", trunk, TRUNK)
        words += differing("pretraining", pretraining, PRETRAINING)
        words += [f"--pretraining-share={pretraining_share}", *differing("objective", objective, OBJECTIVE)]
        words += differing("engine", engine, ENGINE)
        words += [*_length(out, report), "--seed", str(first.seed)]
        return processes.first(lambda: _kept(report, data, shlex.join(words), trials))


def without_labels(engine: Settings) -> Settings:
    """The loop of the phase without labels: DINOv2's rates, all else as in the phase with texts."""
    return engine.model_copy(update={name: getattr(dinov2.ENGINE, name) for name in _RATES})


def _length(out: Path, report: TrainingReport) -> tuple[str, str]:
    """The length of a finished run, as options of the shell."""
    if isinstance(described(read_position(out / FILE_NAME).length), Minutes):
        return "--minutes", f"{report.minutes:.0f}"
    return "--steps", str(report.steps)


def _kept(report: TrainingReport, data: Source, command: str, trials: Trials) -> TrainingReport:
    """The finished model with a card of its own, which tells what it scores."""
    card = Card.now(
        title="A starter: sees, reads and writes",
        data=f"{data.name}: {len(data)} pictures, {report.skipped} of those met passed over",
        command=command,
        seconds=60 * report.minutes,
        settings={"steps": str(report.steps), "trunk parameters": f"{report.trunk_parameters:,}"},
        metrics=report.metrics,
        limits=LIMITS.format(data=data.name),
    )
    # Whatever becomes of the judging, the finished model has its card.
    describe(Path(report.model), card)
    scores, notes = judged(report.model, trials)
    settings = {**card.settings, "not judged": "; ".join(notes)} if notes else card.settings
    card = replace(card, scores=scores, settings=settings)
    describe(Path(report.model), card)
    return report.model_copy(update={"metrics": card.figures, "notes": (*report.notes, *notes)})
