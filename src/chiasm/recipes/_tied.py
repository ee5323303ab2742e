"""What recipes share that tie a trunk to texts: the run, and the parts put together as the model that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.example import Source
from chiasm.core.marks import END, MARKS, START
from chiasm.core.protocols import Objective, TrunkConfig
from chiasm.data import tokenizer as tokenizers
from chiasm.engine.settings import Settings
from chiasm.heads.text_pool import ByClassToken, ByFirstPlace
from chiasm.layers.patch import Convolutions
from chiasm.models import blip, coca, dual_encoder, encoder, text_encoder, vision_language
from chiasm.objectives import blip as matches
from chiasm.objectives import coca as writes_once
from chiasm.objectives import vision_language as writes
from chiasm.objectives._captioned import Captioned
from chiasm.objectives._contrastive import Contrastive, PicturesAndTexts
from chiasm.recipes._language import Known, Language, Words
from chiasm.recipes._parts import whole_state
from chiasm.recipes._pretraining import Pretraining
from chiasm.recipes._run import Run
from chiasm.recipes._start import goes_on_from
from chiasm.trunks import med, vit
from chiasm.weights.find import find

TRUNK = vit.Config()
ENGINE = Settings(lr_scaling="root")
USUAL = {"stem": Convolutions()}


def tied(
    name: str,
    data: Source,
    out: Path,
    trunk: TrunkConfig,
    objective: Captioned,
    engine: Settings,
    model: Callable[[encoder.Encoder, Objective], encoder.PictureModel],
    run: Run,
) -> Pretraining:
    """A run on pictures with texts.

    Args:
        name: of the recipe.
        data, out, trunk, objective, engine, run: as the recipe got them.
        model: puts together what is kept.

    Raises:
        InputError: a trunk that never learned is to stay as it is.
    """
    _check_locked(objective, run.get("start_from"))
    language = _language(name, data, objective.most_tokens, run)
    return Pretraining(
        name=name,
        data=data,
        out=out,
        trunk=trunk,
        usual=USUAL,
        objective=objective,
        wire=lambda eye: objective.reading(language.num_tokens).build(eye),
        model=model,
        language=language,
        pooling=objective.pool,
        engine=engine,
        usual_engine=ENGINE,
        **run,
    )


def _language(name: str, data: Source, most_tokens: int, run: Run) -> Words:
    """The vocabulary of the run whose heads come along, which were learned with it; else one learned from the data."""
    start_from = run.get("start_from")
    if start_from is not None and goes_on_from(start_from, name):
        return Known(find(start_from).tokenizer(), (), tokenizers.Config())
    return Language(data, most_tokens, run.get("seed", 0))


def _check_locked(settings: Captioned, start_from: str | None) -> None:
    """Refuse to read a trunk that has learned nothing.

    Raises:
        InputError: the trunk is to stay as it is, but none was named.
    """
    if isinstance(settings, Contrastive) and settings.locked and start_from is None:
        do = "name one with --start-from, or leave out --objective.locked"
        raise InputError("a trained trunk that stays as it is", "none was named", do)


def both_encoders(pictures: encoder.Encoder, learned: Objective) -> dual_encoder.DualEncoder:
    """The model that is kept of a run that tied pictures to texts.

    Args:
        pictures: the trunk that was learned, and its pool.
        learned: the rest.
    """
    both = _tied(learned)
    state = whole_state(both)
    model = dual_encoder.Config(
        image=pictures.config.model_copy(update={"projection": both.settings.embed_dim}),
        text=_reader(both),
        **learned_scale(state),
    ).build()
    fill(model, pictures, state)
    return model


def writing_model(pictures: encoder.Encoder, learned: Objective) -> vision_language.VisionLanguage:
    """The model that is kept of a run that also learned to write.

    Args:
        pictures: the trunk that was learned, and its pool.
        learned: the rest.
    """
    both = _tied(learned)
    state = whole_state(both)
    if not isinstance(both.settings, writes.Config):
        raise TypeError(f"{type(learned).__name__} has no writer")
    model = vision_language.Config(
        image=pictures.config.model_copy(update={"projection": both.settings.embed_dim}),
        text=_reader(both),
        writer=both.settings.writer,
        learned=both.settings.learned,
        logit_scale=state["logit_scale"].item(),
    ).build()
    fill(model.both, pictures, state)
    model.writer.load_state_dict(within("writer.", state))
    return model


def contrastive_captioner(pictures: encoder.Encoder, learned: Objective) -> coca.CoCa:
    """The model that is kept of a run of CoCa.

    Args:
        pictures: the trunk that was learned, and its pool.
        learned: the rest.
    """
    if not isinstance(learned, writes_once.Coca):
        raise TypeError(f"{type(learned).__name__} is no CoCa")
    state, settings = whole_state(learned), learned.settings
    model = coca.Config(
        image=pictures.config.model_copy(update={"projection": settings.embed_dim}),
        text=text_encoder.Config(
            trunk=settings.text.plain(),
            pool=ByClassToken(),
            projection=settings.embed_dim,
            tokenizer=tokenizers.Config(padding=settings.text.padding),
        ),
        decoder=settings.decoder,
        start_token=START,
        end_token=END,
        logit_scale=state["logit_scale"].item(),
    ).build()
    model.image_encoder.load_state_dict({**pictures.state_dict(), "projection.weight": state["projection.weight"]})
    model.text_encoder.load_state_dict(within("text_", state))
    model.decoder.load_state_dict(within("decoder.", state))
    return model


def matcher_and_captioner(pictures: encoder.Encoder, learned: Objective) -> blip.Blip:
    """The model that is kept of a run of BLIP.

    Args:
        pictures: the trunk that was learned, and its pool.
        learned: the rest.
    """
    if not isinstance(learned, matches.Blip):
        raise TypeError(f"{type(learned).__name__} is no BLIP")
    state, settings = whole_state(learned), learned.settings
    side = {"projection": settings.embed_dim, "projection_bias": True}
    model = blip.Config(
        image=pictures.config.model_copy(update=side),
        text=text_encoder.Config(
            trunk=med.Config(**dict(settings.text), shown_dim=learned.trunk.embed_dim), pool=ByFirstPlace(), **side
        ),
        prompt="",
        start_token=MARKS.index(START),
        end_token=MARKS.index(END),
        max_tokens=settings.text.context_length // 2,
        logit_scale=state["logit_scale"].item(),
    ).build()
    model.image_encoder.load_state_dict({**pictures.state_dict(), **_kept("projection.", state)})
    model.text_encoder.load_state_dict(
        {
            **{f"trunk.{name}": value for name, value in within("reader.", state).items()},
            **{name.removeprefix("text_"): value for name, value in _kept("text_projection.", state).items()},
        }
    )
    model.writer.load_state_dict(within("writer.", state))
    model.match_head.load_state_dict(within("match_head.", state))
    return model


def _kept(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a part, by their whole names."""
    return {name: value for name, value in state.items() if name.startswith(part)}


def learned_scale(state: Mapping[str, Tensor]) -> dict[str, float]:
    """What cosines are multiplied by and what is added after that, as settings of a model."""
    return {name: state[name].item() for name in ("logit_scale", "logit_bias") if name in state}


def fill(model: dual_encoder.DualEncoder, pictures: encoder.Encoder, state: Mapping[str, Tensor]) -> None:
    """Give both encoders what was learned; the scale and bias are in their settings."""
    model.image_encoder.load_state_dict({**pictures.state_dict(), **_kept("projection.", state)})
    # "text_trunk.", "text_pool." and "text_projection." are parts of one encoder there.
    model.text_encoder.load_state_dict(within("text_", state))


def _reader(learned: PicturesAndTexts) -> text_encoder.Config:
    """The text side as a model has it."""
    own = learned.settings
    return text_encoder.Config(trunk=own.plain_text, pool=own.reading_by, projection=own.embed_dim)


def _tied(learned: Objective) -> PicturesAndTexts:
    if not isinstance(learned, PicturesAndTexts):
        raise TypeError(f"{type(learned).__name__} has no text encoder")
    return learned


def within(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a part, by its own names."""
    return {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
