"""CLIP and SigLIP: on a trunk alone, or on a model that reads texts already, of which both sides then learn on."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from chiasm.core.example import Source
from chiasm.core.protocols import Objective, Trunk, TrunkConfig
from chiasm.engine.settings import Settings
from chiasm.models import dual_encoder, encoder, load_picture_model, vision_language
from chiasm.objectives._contrastive import Contrastive, PicturesAndTexts, Sides
from chiasm.recipes._language import Known
from chiasm.recipes._parts import whole_state
from chiasm.recipes._pretraining import Pretraining
from chiasm.recipes._run import Run
from chiasm.recipes._tied import both_encoders, fill, learned_scale, tied
from chiasm.weights.find import find

LR_FURTHER = 1e-5
"""Peak rate where both sides are there already: with that of new ones, what they know would be gone in a few steps."""
_OWN_TEXT_SIDE = {"text", "embed_dim", "pool"}


def contrasted(
    name: str,
    data: Source,
    out: Path,
    trunk: TrunkConfig,
    objective: Contrastive,
    engine: Settings,
    run: Run,
) -> Pretraining:
    """A run of CLIP or SigLIP; arguments as of `tied`.

    Raises:
        InputError: a trunk that never learned is to stay as it is, or nothing usable is where the run is to start from.
    """
    new = tied(name, data, out, trunk, objective, engine, both_encoders, run)
    begun = _begun(objective, run.get("start_from"))
    if begun is None:
        return new
    if "lr" not in engine.model_fields_set:
        engine = engine.model_copy(update={"lr": LR_FURTHER})
    return replace(
        new,
        engine=engine,
        language=begun.words,
        pooling=begun.model.config.image.pool,
        wire=lambda eye: begun.objective(objective, eye),
        model=begun.kept,
    )


@dataclass(frozen=True, slots=True)
class _Begun:
    """A model of which both sides learn on.

    Attributes:
        model: as it was.
        words: its vocabulary.
    """

    model: dual_encoder.DualEncoder
    words: Known

    def objective(self, settings: Contrastive, trunk: Trunk) -> PicturesAndTexts:
        """The objective around a trunk, with the rest of the model as it was."""
        # Public weights may be halves, which are too coarse to learn in.
        model = deepcopy(self.model).float()
        sides = Sides(
            pool=model.image_encoder.pool,
            projection=model.image_encoder.projection,
            text_trunk=model.text_encoder.trunk,
            text_pool=model.text_encoder.pool,
            text_projection=model.text_encoder.projection,
            scale=model.logit_scale.exp().item(),
            bias=None if model.logit_bias is None else model.logit_bias.item(),
            phrases="own",
        )
        return settings.around(trunk, sides)

    def kept(self, pictures: encoder.Encoder, learned: Objective) -> dual_encoder.DualEncoder:
        """The model with what was learned; pictures are cut as they were."""
        state, before = whole_state(learned), self.model.config
        image = before.image.model_copy(update={"trunk": pictures.config.trunk})
        model = before.model_copy(update={"image": image, "logit_bias": None, **learned_scale(state)}).build()
        fill(model, pictures, state)
        return model


def _begun(objective: Contrastive, start_from: str | None) -> _Begun | None:
    """The model to go on with; None where the text side is to be new.

    It is where its settings were given, and where a file of weights was named, which stands for the trunk alone.
    """
    if start_from is None or objective.model_fields_set & _OWN_TEXT_SIDE or Path(start_from).suffix == ".safetensors":
        return None
    model = load_picture_model(start_from)
    both = model.both if isinstance(model, vision_language.VisionLanguage) else model
    if not isinstance(both, dual_encoder.DualEncoder):
        return None
    return _Begun(both, Known(find(start_from).tokenizer(), (), both.config.text.tokenizer))
