"""Which template helps which class of some pictures, and how surely: what `chiasm prompts study` tells."""

from __future__ import annotations

import numpy as np

from chiasm.core.errors import InputError
from chiasm.core.estimates import Estimate
from chiasm.core.example import Source
from chiasm.core.predictors import Encoder, Record
from chiasm.data.prompts import PLAIN, SETS, ClassNames, Templates, check_names, check_templates
from chiasm.evaluate._options import check_draws
from chiasm.evaluate._prompt_trial import ClassScore, Effect, TemplateScore, class_scores, template_scores, tried
from chiasm.ops.bootstrap import bootstrap_means
from chiasm.ops.labels import match_names, relabel


class Studied(Record):
    """What `study` found.

    Attributes:
        model: name of the model.
        data: source of the pictures.
        num_pictures: pictures with a class.
        plain_template: what the others are compared with.
        plain: accuracy with it.
        ensemble: accuracy with all templates averaged.
        gain: second minus first, on the same pictures.
        templates: what each template does, the most accurate first.
        classes: what templates do to each class.
        effects: what each template does to each class, the clearest first. With many of them some intervals leave out 0
            by chance: one in twenty where no template does anything.
        skipped: pictures that could not be read, and why.
    """

    model: str
    data: str
    num_pictures: int
    plain_template: str
    plain: Estimate
    ensemble: Estimate
    gain: Estimate
    templates: tuple[TemplateScore, ...]
    classes: tuple[ClassScore, ...]
    effects: tuple[Effect, ...]
    skipped: dict[str, str]


def study(
    model: Encoder,
    data: Source,
    templates: Templates | None = None,
    labels: ClassNames | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Studied:
    """Tell which template helps which class of pictures, alone and among the others.

    Args:
        model: an encoder that reads text.
        data: pictures with classes.
        templates: sentences to try: `simple` (7, meant when none are given), `imagenet` (80), or a file with one per
            line.
        labels: names of the classes where the source's own say little: a file with one per line, or `cat,dog,horse`.
        bootstrap: resampled sets of pictures behind the intervals.
        seed: of the resampling.

    Raises:
        InputError: the model reads no text, the pictures have no classes or one that is not among the labels, or an
            option is out of range.
        TooManyBrokenError: more of the pictures are broken than is tolerated.
    """
    check_draws(bootstrap)
    if model.text is None:
        raise InputError("a model that reads text", f"{model.name} sees pictures only", "take one such as CLIP")
    sentences = check_templates(SETS["simple"] if templates is None else templates, "templates")
    names, own = _names(data, labels)
    embedded = model.embed(data)
    numbers = relabel(embedded.labels, own, names)
    kept = numbers >= 0
    if not kept.any():
        raise InputError(f"pictures with a class in {data.name}", "none has one", "use one folder per class")
    trial = tried(model.text, embedded.vectors[kept], numbers[kept], names, sentences)
    right = np.stack([trial.plain, trial.ensemble], axis=1).astype(np.float64)
    both = np.concatenate([right, right[:, 1:] - right[:, :1]], axis=1)
    plain, ensemble, gain = bootstrap_means(both, bootstrap, seed)
    classes, effects = class_scores(trial, bootstrap, seed)
    return Studied(
        model=model.name,
        data=data.name,
        num_pictures=int(kept.sum()),
        plain_template=PLAIN[0],
        plain=plain,
        ensemble=ensemble,
        gain=gain,
        templates=template_scores(trial, bootstrap, seed),
        classes=classes,
        effects=effects,
        skipped=dict(embedded.skipped),
    )


def _names(data: Source, labels: ClassNames | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names to put into the sentences, and which of them each class of the source has.

    Raises:
        InputError: there are fewer than two, or a class of the source is not among them.
    """
    if not data.classes:
        raise InputError("pictures with classes", f"{data.name} has none", "use one folder per class")
    names = check_names(data.classes if labels is None else labels, "labels")
    if len(names) < 2:
        raise InputError("at least two classes to choose from", f"only {', '.join(names)} came", "add another class")
    own = match_names(data.classes, names)
    foreign = [name for name, match in zip(data.classes, own, strict=True) if match not in names]
    if foreign:
        raise InputError(
            f"the classes of {data.name} among the labels", f"{foreign[0]!r} is not", "name it, or leave labels out"
        )
    return names, own
