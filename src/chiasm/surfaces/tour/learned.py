"""What was learned: the trunk against raw pixels and against itself before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from chiasm.core.estimates import Estimate
from chiasm.core.example import Source, Splits
from chiasm.core.predictors import Encoder
from chiasm.data.cache import Cached
from chiasm.data.open import open_splits
from chiasm.evaluate import RawPixels
from chiasm.evaluate.compare import Contest, compare
from chiasm.evaluate.knn import knn
from chiasm.evaluate.linear import linear
from chiasm.report import blocks, formats, palette
from chiasm.report.page import Section
from chiasm.report.plots.bar import Bar, bars
from chiasm.report.plots.scatter import scatter_map
from chiasm.surfaces.tour._data import SPLITS
from chiasm.surfaces.tour._run import Tour

ORDER = 30
MAP_POINTS = 700
CACHE_BYTES = 500_000_000


def learned(tour: Tour) -> Section:
    """Judge the trained trunk beside two baselines and draw its map of the test pictures."""
    from chiasm.serve.encoder import open_encoder, untrained_encoder

    splits = open_splits(SPLITS)
    splits = Splits(Cached(splits.train, CACHE_BYTES), Cached(splits.test, CACHE_BYTES))
    trained = open_encoder(str(tour.trunk))
    untrained = untrained_encoder(str(tour.trunk), tour.seed)
    contestants: list[tuple[str, Encoder]] = [
        ("trained trunk", trained),
        ("the same trunk, untrained", untrained),
        ("raw pixels", RawPixels()),
    ]
    models = [model for _, model in contestants]
    answers = knn(models, data=[splits]).results, linear(models, data=[splits]).results
    judged = [
        (name, neighbours.scores.accuracy, probe.scores.accuracy)
        for (name, _), neighbours, probe in zip(contestants, *answers, strict=True)
    ]
    for name, neighbours, probe in judged:
        tour.say(f"{name:26} k-NN {neighbours.value:.1%}   linear probe {probe.value:.1%}")
    by_knn, by_probe = compare(trained, RawPixels(), data=[splits], by=("knn", "linear")).results
    return Section(
        "What was learned",
        f"How well frozen vectors tell {len(splits.test.classes)} classes apart on pictures never seen in training, by "
        "their nearest neighbours and by a linear probe; intervals are bootstrapped over test pictures.",
    ).add(
        blocks.Columns([_bars("k-NN accuracy", judged, 1), _bars("linear probe accuracy", judged, 2)]),
        blocks.Table(
            [
                blocks.Column("trained trunk against raw pixels"),
                blocks.Column("difference, points", "right", formats.number(1)),
                blocks.Column("95 % interval", "right"),
                blocks.Column("p", "right", formats.compact),
            ],
            [_difference("k-NN", by_knn), _difference("linear probe", by_probe)],
            caption=f"Paired on the same {by_knn.num_test} test pictures; p by McNemar's exact test.",
        ),
        _map(trained, splits.test),
        blocks.Details(
            "The commands that give these figures",
            [
                blocks.Command(
                    f"chiasm evaluate knn {tour.trunk} --data '{SPLITS}'\n"
                    f"chiasm evaluate linear {tour.trunk} --data '{SPLITS}'"
                )
            ],
        ),
    )


def _bars(label: str, judged: Sequence[tuple[str, Estimate, Estimate]], which: int) -> blocks.Block:
    items = []
    for place, row in enumerate(judged):
        estimate = (row[1], row[2])[which - 1]
        interval = (100 * estimate.low, 100 * estimate.high)
        items.append(Bar(row[0], 100 * estimate.value, interval, palette.SERIES[place]))
    return bars(items, f"{label}, %", width_px=460)


def _difference(name: str, contest: Contest) -> tuple[str, float, str, float]:
    found = contest.difference
    return name, 100 * found.value, f"{100 * found.low:+.1f} to {100 * found.high:+.1f}", contest.p_value


def _map(encoder: Encoder, source: Source) -> blocks.Block:
    embeddings = encoder.embed(source)
    points = _plane(embeddings.vectors[:MAP_POINTS])
    return scatter_map(
        points,
        embeddings.labels[: len(points)],
        source.classes,
        picture=lambda index: source.read(index).picture,
        names=embeddings.keys[: len(points)],
        title="A map of the test pictures",
        caption="Each picture lies near those whose vectors are similar (t-SNE). The trunk never saw a label.",
    )


def _plane(vectors: Float[np.ndarray, "S D"]) -> Float[np.ndarray, "S 2"]:
    from sklearn.manifold import TSNE

    return TSNE(init="pca", perplexity=30, random_state=0, metric="cosine").fit_transform(vectors).astype(np.float64)
