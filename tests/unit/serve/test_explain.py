"""Heat maps of served models: faithful to what decides the answer, and made by methods that fit the model's parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from chiasm.core.errors import InputError
from chiasm.core.example import Source, Subset
from chiasm.core.explaining import Explainer, HeatMaps, HeatMethod
from chiasm.core.features import Features
from chiasm.core.protocols import Trunk
from chiasm.data.fits import Squash
from chiasm.data.open import open_source
from chiasm.heads import classes, pool
from chiasm.layers.attention import attend, recorded
from chiasm.models import classifier, encoder
from chiasm.serve.encoder import PictureEncoder
from chiasm.serve.explain import PictureExplainer
from chiasm.trunks import vit

CPU = torch.device("cpu")
COLOURS = torch.tensor([[220, 40, 40], [40, 200, 60], [40, 70, 220]])
SIDE, PATCH, SQUARE = 32, 4, 8
GRID = SIDE // PATCH
CHANCE = (SQUARE / SIDE) ** 2


@dataclass(frozen=True)
class Drawn:
    """Grey noise with a coloured square, which alone tells the class; `inside` marks its patches."""

    images: Tensor
    labels: Tensor
    inside: np.ndarray

    @classmethod
    def draw(cls, count: int, seed: int) -> Drawn:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(90, 160, (count, 3, SIDE, SIDE), generator=generator)
        labels = torch.randint(0, 3, (count,), generator=generator)
        inside = np.zeros((count, GRID, GRID), bool)
        for image, label, place, mask in zip(images, labels, range(count), inside, strict=True):
            row, column = torch.randint(0, GRID - 1, (2,), generator=generator.manual_seed(seed + place)).tolist()
            top, left = row * PATCH, column * PATCH
            noise = torch.randint(-20, 21, (3, SQUARE, SQUARE), generator=generator)
            image[:, top : top + SQUARE, left : left + SQUARE] = (COLOURS[label][:, None, None] + noise).clamp(0, 255)
            mask[row : row + 2, column : column + 2] = True
        return cls(images.to(torch.uint8), labels, inside)

    def save(self, folder: Path) -> Path:
        folder.mkdir()
        for place, image in enumerate(self.images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{place:03}.png")
        return folder


class Local(Trunk):
    """Two convolutions and no attention: every token knows its neighbourhood only."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_dim, self.image_size, self.patch_size, self.hides_patches = 16, SIDE, PATCH, False
        self.replaces_patches = False
        self.layers = nn.Sequential(nn.Conv2d(3, 16, PATCH, PATCH), nn.GELU(), nn.Conv2d(16, 16, 3, padding=1))

    def normalize(self, images):
        return images.float() / 128 - 1

    def forward(self, images, *, patch_mask=None, layers=()):
        tokens = self.layers(images).flatten(2).transpose(1, 2)
        return Features(tokens[:, :0], tokens, (GRID, GRID))

    def levels(self):
        return ((self.layers,),)


def build(by: str, trunk: Trunk | None = None) -> classifier.Classifier:
    torch.manual_seed(0)
    has_class_token = by != "mean_patches"
    settings = vit.Config(
        image_size=SIDE, patch_size=PATCH, embed_dim=32, depth=2, num_heads=2, cls_token=has_class_token
    )
    if trunk is not None:
        settings = vit.Config(image_size=SIDE, patch_size=PATCH, embed_dim=trunk.embed_dim, depth=1, num_heads=1)
    pictures = encoder.Config(trunk=settings, pool=pool.Config.model_validate({"by": {"kind": by}}), fit=Squash())
    model = classifier.Config(encoder=pictures, head=classes.Config(classes=("red", "green", "blue"))).build()
    if trunk is not None:
        model.image_encoder.trunk = trunk
    return model


def train(model: classifier.Classifier, seed: int = 1) -> classifier.Classifier:
    drawn = Drawn.draw(512, seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(60):
        chosen = torch.randint(0, 512, (32,), generator=torch.Generator().manual_seed(step))
        loss = nn.functional.cross_entropy(model(drawn.images[chosen]), drawn.labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


MODELS: dict[str, Callable[[], classifier.Classifier]] = {
    "class token": lambda: build("class_token"),
    "mean": lambda: build("mean_patches"),
    "attention pool": lambda: build("attention"),
    "convolutions": lambda: build("mean_patches", Local()),
}


@pytest.fixture(scope="module")
def trained() -> Callable[[str], classifier.Classifier]:
    """Models that tell the colours of squares, each trained once."""
    made: dict[str, classifier.Classifier] = {}

    def get(name: str) -> classifier.Classifier:
        if name not in made:
            made[name] = train(MODELS[name]())
        return made[name]

    return get


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return Drawn.draw(30, 1000)


@pytest.fixture(scope="module")
def folder(drawn, tmp_path_factory) -> Path:
    return drawn.save(tmp_path_factory.mktemp("squares") / "pictures")


def explainer(model: classifier.Classifier) -> PictureExplainer:
    return PictureExplainer(PictureEncoder(model, "m", lambda: "f", CPU))


def explain(model: classifier.Classifier, folder: Path, labels: Tensor, method: HeatMethod | None = None) -> HeatMaps:
    served, source = explainer(model), open_source(str(folder))
    return served.heat(source, scores(served, source, labels), method)


def scores(served: PictureExplainer, source: Source, labels: Tensor) -> np.ndarray:
    """Directions of the log-odds of each picture's class."""
    asked, own = served.encoder.embed(source), served.encoder.own_classes
    assert own is not None
    return own.gradients(asked.vectors * asked.norms[:, None], labels.numpy())


def mass_inside(maps: HeatMaps, drawn: Drawn) -> float:
    """Share of the heat within the square, averaged over pictures."""
    return float((maps.heat * drawn.inside).sum(axis=(1, 2)).mean())


def without(drawn: Drawn, patches: np.ndarray) -> Tensor:
    """The pictures with some patches in plain grey."""
    hidden = torch.from_numpy(patches).repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)
    return torch.where(hidden[:, None], torch.tensor(125, dtype=torch.uint8), drawn.images)


def hottest(heat: np.ndarray, share: float) -> np.ndarray:
    flat = heat.reshape(len(heat), -1)
    count = round(share * flat.shape[1])
    ranks = (-flat).argsort(axis=1).argsort(axis=1)
    return (ranks < count).reshape(heat.shape)


def sureness(model: classifier.Classifier, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float(model(images).log_softmax(dim=1)[torch.arange(len(labels)), labels].mean())


CASES = [
    ("class token", "relevance", 5),
    ("class token", "rollout", 4),
    ("mean", "relevance", 5),
    ("attention pool", "relevance", 4),
    ("attention pool", "rollout", 4),
    ("convolutions", "grad-cam", 6),
]


@pytest.fixture(scope="module")
def explained(trained, drawn, folder) -> Callable[[str, HeatMethod], HeatMaps]:
    """Heat maps of the right class, each made once."""
    return cache(lambda name, method: explain(trained(name), folder, drawn.labels, method))


@pytest.mark.parametrize(("name", "method", "times"), CASES)
def test_heat_lies_where_the_class_is_decided(trained, explained, drawn, name, method, times):
    model = trained(name)
    with torch.no_grad():
        assert (model(drawn.images).argmax(dim=1) == drawn.labels).float().mean() > 0.95
    maps = explained(name, method)
    assert maps.method == method
    assert np.allclose(maps.heat.sum(axis=(1, 2)), 1, atol=1e-5)
    assert maps.heat.min() >= 0
    assert mass_inside(maps, drawn) > times * CHANCE


@pytest.mark.parametrize(("name", "method", "times"), CASES)
def test_taking_the_hottest_patches_away_lowers_the_score(trained, explained, drawn, name, method, times):
    del times
    model, maps = trained(name), explained(name, method)
    by_heat = sureness(model, without(drawn, hottest(maps.heat, 0.2)), drawn.labels)
    chance = np.random.default_rng(0).random(maps.heat.shape)
    by_chance = sureness(model, without(drawn, hottest(chance, 0.2)), drawn.labels)
    assert by_heat < by_chance - 1


def test_what_speaks_for_another_class_lies_elsewhere(trained, explained, drawn, folder):
    right = explained("class token", "relevance")
    wrong = explain(trained("class token"), folder, (drawn.labels + 1) % 3)
    assert mass_inside(right, drawn) > 1.4 * mass_inside(wrong, drawn)


def test_grad_cam_says_little_where_attention_has_told_every_token(explained, drawn):
    by_relevance, by_features = explained("mean", "relevance"), explained("mean", "grad-cam")
    assert mass_inside(by_features, drawn) < 2 * CHANCE < mass_inside(by_relevance, drawn) / 2


def test_the_first_method_that_fits_is_the_default(trained, drawn, folder):
    source = open_source(str(folder))
    few = Subset(source, [0, 1], "few")
    for name, expected in (("class token", "relevance"), ("mean", "relevance"), ("convolutions", "grad-cam")):
        served = explainer(trained(name))
        directions = np.ones((2, served.encoder.embed_dim))
        assert served.heat(few, directions).method == expected
    assert explainer(trained("class token")).heat(few, None).method == "rollout"
    assert isinstance(explainer(trained("class token")), Explainer)


@pytest.mark.parametrize(
    ("name", "method", "has_score", "told"),
    [
        ("class token", "grad-cam", True, "choose relevance or rollout"),
        ("convolutions", "relevance", True, "choose grad-cam"),
        ("convolutions", "rollout", False, "choose grad-cam"),
        ("convolutions", None, False, "name labels or give examples"),
        ("class token", "relevance", False, "a class to explain by relevance"),
    ],
)
def test_what_the_parts_do_not_allow_is_told(trained, folder, name, method, has_score, told):
    served = explainer(trained(name))
    directions = np.ones((1, served.encoder.embed_dim)) if has_score else None
    with pytest.raises(InputError, match=told):
        served.heat(Subset(open_source(str(folder)), [0], "one"), directions, method)


def test_the_model_itself_is_left_alone(trained, folder, monkeypatch):
    model = trained("class token")
    attention = model.image_encoder.trunk.blocks[0].attention
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [parameter.grad for parameter in model.parameters()]
    during = []

    @contextmanager
    def spying(module: nn.Module) -> Iterator[list[Tensor]]:
        with recorded(module) as weights:
            during.append(attention.look)
            yield weights

    monkeypatch.setattr("chiasm.serve.explain.recorded", spying)
    explainer(model).heat(Subset(open_source(str(folder)), [0], "one"), None)
    assert set(during) == {attend}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(one.grad is other for one, other in zip(model.parameters(), gradients, strict=True))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_in_bfloat16_is_explained_in_float32(trained, explained, drawn, folder):
    half = build("class_token")
    half.load_state_dict(trained("class token").state_dict())
    half = half.to(torch.bfloat16).eval()
    source = open_source(str(folder))
    directions = scores(explainer(trained("class token")), source, drawn.labels)
    maps = explainer(half).heat(source, directions)
    assert maps.heat.dtype == np.float32
    assert next(half.parameters()).dtype == torch.bfloat16
    whole = explained("class token", "relevance")
    assert np.abs(maps.heat - whole.heat).sum(axis=(1, 2)).mean() < 0.3


def test_rows_of_directions_follow_the_pictures(trained, explained, drawn, folder):
    model, source = trained("class token"), open_source(str(folder))
    whole = explained("class token", "relevance")
    served = explainer(model)
    directions = scores(served, source, drawn.labels)
    some = [7, 3, 20]
    maps = served.heat(Subset(source, some, "some"), directions[some], "relevance")
    assert maps.keys == tuple(source.key(index) for index in some)
    assert np.allclose(maps.heat, whole.heat[some], atol=1e-6)


def test_broken_pictures_are_told_and_take_their_direction_with_them(trained, explained, drawn, tmp_path):
    model = trained("class token")
    folder = drawn.save(tmp_path / "pictures")
    whole = explained("class token", "relevance")
    directions = scores(explainer(model), open_source(str(folder)), drawn.labels)
    (folder / "001.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    maps = explainer(model).heat(open_source(str(folder)), directions, "relevance")
    assert [key for key, _ in maps.skipped] == ["001.png"]
    assert "001.png" not in maps.keys
    kept = [index for index in range(30) if index != 1]
    assert np.allclose(maps.heat, whole.heat[kept], atol=1e-6)


def test_seen_is_told_by_the_fit(trained):
    assert explainer(trained("mean")).seen(100, 300) == (0, 0, 300, 100)
