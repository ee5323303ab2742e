"""CLIP and SigLIP as open_clip stores them, and as OpenAI first named CLIP's weights.

A folder of open_clip (`open_clip_config.json`, `open_clip_model.safetensors`), or a single file with its names. The
picture side is open_clip's own vision transformer or a plain one of timm (SigLIP), the text side its own transformer;
other sides (ResNets, language models) are refused. CoCa has a layout of its own, `open_clip_coca`.

Of a single file nothing tells the activation: it is GELU, or its approximation with a sigmoid where the file's name
says `openai` or `quickgelu`.
"""

from __future__ import annotations

from torch import Tensor

from chiasm.weights.checkpoint import Checkpoint
from chiasm.weights.layouts import Reading
from chiasm.weights.layouts._clip import scalars, within
from chiasm.weights.layouts._open_clip_image import (
    OWN,
    TIMM,
    read_own,
    read_timm,
    translate_own,
    translate_timm,
    with_pictures,
)
from chiasm.weights.layouts._open_clip_text import read_text, refuse_unlike, translate_text


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether the names are those of open_clip's picture and text side, or its settings are there."""
    shapes, model = checkpoint.shapes, checkpoint.settings.get("model_cfg")
    is_coca = any(name.startswith("text_decoder.") for name in shapes) or "multimodal_cfg" in (model or {})
    is_named = any(name.startswith((f"{OWN}transformer.resblocks.", f"{TIMM}blocks.")) for name in shapes)
    return not is_coca and (is_named or model is not None)


def read(checkpoint: Checkpoint) -> Reading:
    """A dual encoder.

    Raises:
        InputError: a side is of a kind that ours are not.
    """
    model = checkpoint.settings.get("model_cfg") or {}
    vision, text = model.get("vision_cfg") or {}, model.get("text_cfg") or {}
    refuse_unlike(vision, text)
    shapes = checkpoint.shapes
    named = checkpoint.name.lower()
    quick = model.get("quick_gelu", False) if model else "openai" in named or "quickgelu" in named
    if any(name.startswith(f"{OWN}transformer.resblocks.") for name in shapes):
        image = read_own(shapes, vision, quick=quick)
    else:
        image = read_timm(checkpoint, vision)
    settings = {"image": with_pictures(image, checkpoint, vision), "text": read_text(checkpoint, text, quick=quick)}
    return Reading("dual_encoder", {**settings, "logit_bias": 0.0 if "logit_bias" in shapes else None})


def translate(tensors: dict[str, Tensor], reading: Reading) -> dict[str, Tensor]:
    """The weights under the names of both sides."""
    numbers = scalars(tensors)
    image = {name: tensors.pop(name) for name in list(tensors) if name.startswith(OWN)}
    is_timm = any(name.startswith(TIMM) for name in image)
    seen = (translate_timm if is_timm else translate_own)(image, reading.config["image"])
    return within("image_encoder.", seen) | within("text_encoder.", translate_text(tensors)) | numbers
