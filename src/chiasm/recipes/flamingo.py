"""Flamingo: a language model learns to look at pictures that stand among its words, and to follow examples.

Lab note: no run has been measured yet; the rate is a usual one, not a tuned one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.protocols import Objective, Trunk, TrunkConfig
from chiasm.data import tokenizer as tokenizers
from chiasm.data.phrases import END_MARK, PICTURE_MARK
from chiasm.engine.settings import Settings
from chiasm.models import encoder, load_language_model
from chiasm.models import flamingo as models
from chiasm.models import language as languages
from chiasm.models.language import LanguageModel
from chiasm.objectives import flamingo as method
from chiasm.recipes._language import Known, Language, Words
from chiasm.recipes._parts import whole_state
from chiasm.recipes._pretraining import Pretraining, TrainingReport
from chiasm.recipes._run import Run
from chiasm.recipes._tied import ENGINE, TRUNK, USUAL, within

OBJECTIVE, TOKENIZING = method.Config(), tokenizers.Config()
MARKS = (END_MARK, PICTURE_MARK)
"""In the order in which OpenFlamingo numbers them."""


def flamingo(
    data: Source,
    out: Path,
    *,
    language: str | None = None,
    trunk: TrunkConfig = TRUNK,
    objective: method.Config = OBJECTIVE,
    engine: Settings = ENGINE,
    **run: Unpack[Run],
) -> TrainingReport:
    """Teach a language model to look at pictures: captions, answers, and both after examples in context.

    The paper's way is a trained language model and a trained trunk that stay as they are: `--language`, `--start-from`
    and `--objective.locked`. A language model that is named must still be there when a run is resumed.

    Args:
        data: pictures with captions; with questions too for `--objective.answer-weight 1`.
        out: new folder for the run: model, tokenizer, card, log, checkpoint.
        language: the language model (GPT-NeoX, Pythia, RedPajama-INCITE, MPT): a folder or a public name; it stays as
            it is. Unless given, a small one begins at random and learns with the rest.
        trunk: what sees; unless given, sizes of pictures and patches are chosen from the data, and its stem is early
            convolutions. `--trunk.family` names another kind: swin, convnext.
        objective: how it learns.
        engine: the loop.
        run: how long, from where, watched by whom: the options of every recipe.

    Raises:
        InputError: no picture has a caption, or a trunk that never learned is to stay as it is, or the pictures of a
            batch do not fill whole texts.
    """
    if objective.locked and run.get("start_from") is None:
        do = "name one with --start-from, or leave out --objective.locked"
        raise InputError("a trained trunk that stays as it is", "none was named", do)
    if engine.batch_size % objective.pictures:
        came = f"it is {engine.batch_size}"
        raise InputError(f"a multiple of {objective.pictures} as --engine.batch-size", came, "change it")
    words, wire = _learning(data, objective, run.get("seed", 0)) if language is None else _known(language, objective)
    return Pretraining(
        name="flamingo",
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        objective=objective,
        wire=wire,
        model=lambda pictures, learned: among_words(pictures, learned, words.settings),
        language=words,
        pooling=objective.pool,
        engine=engine,
        usual_engine=ENGINE,
        own={} if language is None else {"language": language},
        **run,
    ).run()


def _learning(data: Source, objective: method.Config, seed: int) -> tuple[Words, Callable[[Trunk], Objective]]:
    """A vocabulary that is learned from the data, and a language model that learns with the rest."""
    words = Language(data, objective.most_tokens, seed, MARKS)
    return words, lambda eye: objective.reading(words.num_tokens).build(eye)


def _known(name: str, objective: method.Config) -> tuple[Words, Callable[[Trunk], Objective]]:
    """Vocabulary and weights of a trained language model."""
    model, vocabulary = load_language_model(name)
    words = Known(vocabulary, MARKS, model.config.tokenizer)
    tokenizer = words.tokenizer(2)
    marks = method.Marks(picture=tokenizer.number(PICTURE_MARK), end=tokenizer.number(END_MARK))

    def wire(eye: Trunk) -> Objective:
        return method.Flamingo(eye, method.Frozen(with_rows(model, tokenizer.vocab_size), marks), objective)

    return words, wire


def with_rows(model: LanguageModel, vocab_size: int) -> LanguageModel:
    """A language model whose tables have a row for each token; new rows are 0."""
    trunk = model.config.trunk
    if vocab_size <= trunk.vocab_size:
        return model
    larger = model.config.model_copy(update={"trunk": trunk.model_copy(update={"vocab_size": vocab_size})}).build()
    state = larger.state_dict()
    for name, tensor in model.state_dict().items():
        if state[name].shape == tensor.shape:
            state[name] = tensor
        else:
            state[name] = tensor.new_zeros(state[name].shape)
            state[name][: len(tensor)] = tensor
    larger.load_state_dict(state)
    return larger


def among_words(
    pictures: encoder.Encoder, learned: Objective, tokenizing: tokenizers.Config = TOKENIZING
) -> models.Flamingo:
    """The model that is kept of a run.

    Args:
        pictures: the trunk, and its pool.
        learned: the rest.
        tokenizing: how texts become its tokens.
    """
    if not isinstance(learned, method.Flamingo):
        raise TypeError(f"{type(learned).__name__} is no Flamingo")
    state, settings, speaker = whole_state(learned), learned.settings, learned.speaker
    model = models.Config(
        image=pictures.config,
        resampler=settings.resampler,
        gated=settings.gated,
        language=languages.Config(
            trunk=speaker.settings, writes_as_it_reads=speaker.next_token is None, tokenizer=tokenizing
        ),
    ).build()
    model.image_encoder.load_state_dict(pictures.state_dict())
    model.resampler.load_state_dict(within("resampler.", state))
    model.gated.load_state_dict(within("gated.", state))
    own, language = within("language.", state), learned.language
    model.language.load_state_dict(language.filled(own) if isinstance(language, method.Frozen) else own)
    return model
