"""The world's language, parsed back and checked against the scene graph and the masks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from chiasm.core.example import Example
from chiasm.data.world.backgrounds import BACKGROUNDS
from chiasm.data.world.domains import DOMAINS
from chiasm.data.world.patterns import PATTERNS
from chiasm.data.world.scene import Scene, SceneObject
from chiasm.data.world.shapes import SHAPES
from chiasm.data.world.vocabulary import COLOURS, PLACES, SIZES
from chiasm.data.world.world import World

NUMBERS = {"a": 1, "an": 1, "no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
SINGULAR = {shape.name: shape.name for shape in SHAPES} | {shape.plural: shape.name for shape in SHAPES}


def either(names: Sequence[str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


PHRASE = re.compile(
    rf"\b(?:(?P<number>{either(list(NUMBERS))}|the|single) )"
    rf"(?:(?P<size>{either([size.name for size in SIZES])}) )?"
    rf"(?:(?P<pattern>{either([pattern.name for pattern in PATTERNS])}) )?"
    rf"(?:(?P<colour>{either([colour.name for colour in COLOURS])}) )?"
    rf"(?P<shape>{either(list(SINGULAR))})\b"
)
WORLD = World(domain="mixed")
NUM = 80


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [WORLD.example(index, truth=True, language=True, size_px=128) for index in range(NUM)]


def fits(thing: SceneObject, words: re.Match[str]) -> bool:
    """Whether an object answers to a noun phrase."""
    said = words.groupdict()
    return (
        thing.shape.name == SINGULAR[said["shape"]]
        and said["size"] in (None, thing.size.name)
        and said["pattern"] in (None, thing.pattern.name)
        and said["colour"] in (None, thing.colour.name)
    )


def the(scene: Scene, name: str) -> int:
    """Index of the only object that answers to a name."""
    words = PHRASE.fullmatch(name if name.startswith("the ") else f"the {name}")
    assert words, name
    found = [index for index, thing in enumerate(scene.objects) if fits(thing, words)]
    assert len(found) == 1, (name, found)
    return found[0]


def middle(example: Example, index: int) -> tuple[float, float]:
    assert example.truth is not None
    row, column = np.argwhere(example.truth.masks[index]).mean(axis=0) / example.picture.shape[0]
    return float(column), float(row)


def relation_holds(example: Example, subject: int, name: str, other: int) -> bool:
    assert example.truth is not None
    (x, y), (other_x, other_y) = middle(example, subject), middle(example, other)
    areas = example.truth.masks.sum(axis=(1, 2))
    holds: dict[str, Callable[[], bool]] = {
        "left of": lambda: x < other_x - 0.1,
        "right of": lambda: x > other_x + 0.1,
        "above": lambda: y < other_y - 0.1,
        "below": lambda: y > other_y + 0.1,
        "bigger than": lambda: bool(areas[subject] > 1.2 * areas[other]),
        "smaller than": lambda: bool(areas[other] > 1.2 * areas[subject]),
        "in front of": lambda: subject > other,
        "behind": lambda: subject < other,
    }
    return holds[name]()


def in_place(example: Example, index: int, adverb: str) -> bool:
    x, y = middle(example, index)
    said = re.sub(r"^(at|on|in) the ", "", adverb)
    column, row = min(int(3 * x), 2), min(int(3 * y), 2)
    return PLACES[3 * row + column] == said


def test_captions_are_five_and_different(examples: list[Example]) -> None:
    for example in examples:
        assert len(example.captions) == 5
        assert len(set(example.captions)) == 5
    assert len({caption for example in examples for caption in example.captions}) > 4.5 * NUM


def test_every_phrase_in_every_caption_is_true(examples: list[Example]) -> None:
    num_phrases = 0
    for index, example in enumerate(examples):
        scene = WORLD.scene(index)
        for caption in example.captions:
            phrases = list(PHRASE.finditer(caption))
            assert phrases, caption
            for words in phrases:
                found = sum(fits(thing, words) for thing in scene.objects)
                if words["number"] in ("the", "single"):
                    assert found == 1, caption
                elif words["size"] or words["pattern"]:
                    assert found >= 1, caption
                else:
                    # Lists name every object of a kind, so the number must be exact unless "among other things".
                    exact = NUMBERS[words["number"]]
                    assert found == exact or (caption.startswith("among") and found >= 1), caption
            num_phrases += len(phrases)
    assert num_phrases > 6 * NUM


def test_the_first_captions_name_every_object(examples: list[Example]) -> None:
    for index, example in enumerate(examples):
        scene = WORLD.scene(index)
        graph = Counter((thing.shape.name, thing.colour.name) for thing in scene.objects)
        for caption in example.captions[:2]:
            said: Counter[tuple[str, str]] = Counter()
            for words in PHRASE.finditer(caption):
                said[SINGULAR[words["shape"]], words["colour"]] += NUMBERS[words["number"]]
            assert said == graph, caption
        classes: Counter[str] = Counter()
        for words in PHRASE.finditer(example.captions[4].split(":")[-1]):
            classes[SINGULAR[words["shape"]]] += NUMBERS[words["number"]]
        assert classes == Counter(thing.shape.name for thing in scene.objects)


def test_background_and_medium_are_named_rightly(examples: list[Example]) -> None:
    for index, example in enumerate(examples):
        named = [kind for kind in BACKGROUNDS if kind.phrase in example.captions[0]]
        assert named == [WORLD.scene(index).ground.kind]
        medium = WORLD.domain_of(index)
        starts = [domain.noun for domain in DOMAINS if example.captions[1].startswith(domain.noun)]
        assert max(starts, key=len) == medium.noun


def test_relations_and_places_in_captions_hold(examples: list[Example]) -> None:
    relations = re.compile(rf"(the .+?) is ({either(list(OPPOSITE))}) (the .+)")
    adverbs = re.compile(r"(at the (?:top|bottom)(?: left| right)?|on the left|on the right|in the middle)")
    num_relations = num_places = 0
    for index, example in enumerate(examples):
        scene = WORLD.scene(index)
        words = relations.fullmatch(example.captions[3])
        if words:
            num_relations += 1
            assert relation_holds(example, the(scene, words[1]), words[2], the(scene, words[3])), words[0]
        spot = adverbs.search(example.captions[2])
        if spot:
            num_places += 1
            assert example.truth is not None
            assert in_place(example, int(example.truth.masks.sum(axis=(1, 2)).argmax()), spot[1]), example.captions[2]
    assert num_relations > 0.6 * NUM
    assert num_places > 0.4 * NUM


def test_looks_in_captions_hold(examples: list[Example]) -> None:
    looks = re.compile(r"(?:a|an|single) (\w+), (\w+) and (\w+)(?:,|$)")
    num = 0
    for index, example in enumerate(examples):
        words = looks.search(example.captions[3])
        if words:
            num += 1
            graph = {(thing.shape.name, thing.colour.name, thing.pattern.name) for thing in WORLD.scene(index).objects}
            assert words.groups() in graph, example.captions[3]
    assert num > 0.1 * NUM


OPPOSITE = {"left of", "right of", "above", "below", "bigger than", "smaller than", "in front of", "behind"}


def test_questions_can_be_answered_from_the_picture(examples: list[Example]) -> None:
    answered: Counter[str] = Counter()
    for index, example in enumerate(examples):
        scene = WORLD.scene(index)
        for pair in example.questions:
            answered[pair.kind] += 1
            ANSWERS[pair.kind](example, scene, pair.question, pair.answer)
    assert set(answered) == {"exists", "count", "colour", "pattern", "shape", "where", "compare"}
    assert min(answered.values()) > 20


def check_exists(example: Example, scene: Scene, question: str, answer: str) -> None:
    phrase = question.removeprefix("Is there ").removesuffix("?")
    coloured = re.fullmatch(r"an? (\w+) object", phrase)
    if coloured:
        there = any(thing.colour.name == coloured[1] for thing in scene.objects)
    else:
        words = PHRASE.fullmatch(phrase)
        assert words, question
        there = any(fits(thing, words) for thing in scene.objects)
    assert answer == ("yes" if there else "no"), question


def check_count(example: Example, scene: Scene, question: str, answer: str) -> None:
    what = question.removeprefix("How many ").removesuffix(" are there?")
    coloured = re.fullmatch(r"(\w+) objects", what)
    if what == "objects":
        assert example.truth is not None
        assert int(answer) == len(np.unique(example.truth.panoptic)) - 1
    elif coloured:
        assert int(answer) == sum(thing.colour.name == coloured[1] for thing in scene.objects)
    else:
        assert int(answer) == sum(thing.shape.plural == what for thing in scene.objects)


def check_colour(example: Example, scene: Scene, question: str, answer: str) -> None:
    name = question.removeprefix("What colour is ").removesuffix("?")
    assert scene.objects[the(scene, name)].colour.name == answer


def check_pattern(example: Example, scene: Scene, question: str, answer: str) -> None:
    name = question.removeprefix("What is the pattern of ").removesuffix("?")
    assert scene.objects[the(scene, name)].pattern.name == answer


def check_shape(example: Example, scene: Scene, question: str, answer: str) -> None:
    colour = question.removeprefix("What is the ").removesuffix(" object?")
    assert [thing.shape.name for thing in scene.objects if thing.colour.name == colour] == [answer]


def check_where(example: Example, scene: Scene, question: str, answer: str) -> None:
    assert in_place(example, the(scene, question.removeprefix("Where is ").removesuffix("?")), answer), question


def check_compare(example: Example, scene: Scene, question: str, answer: str) -> None:
    choice = re.fullmatch(r"Which is bigger, (the .+) or (the .+)\?", question)
    if choice:
        other = choice[2] if answer == choice[1] else choice[1]
        assert answer in (choice[1], choice[2])
        assert relation_holds(example, the(scene, answer), "bigger than", the(scene, other)), question
        return
    words = re.fullmatch(rf"Is (the .+?) ({either(list(OPPOSITE))}) (the .+)\?", question)
    assert words, question
    holds = relation_holds(example, the(scene, words[1]), words[2], the(scene, words[3]))
    assert answer == ("yes" if holds else "no"), question


ANSWERS: dict[str, Callable[[Example, Scene, str, str], None]] = {
    "exists": check_exists,
    "count": check_count,
    "colour": check_colour,
    "pattern": check_pattern,
    "shape": check_shape,
    "where": check_where,
    "compare": check_compare,
}


def test_answers_cannot_be_guessed_from_the_kind_of_question(examples: list[Example]) -> None:
    answers: dict[str, Counter[str]] = {}
    for example in examples:
        for pair in example.questions:
            answers.setdefault(pair.kind, Counter())[pair.answer] += 1
    for counts in answers.values():
        assert counts.most_common(1)[0][1] < 0.66 * counts.total()
    assert answers["exists"]["no"] == answers["exists"]["yes"]


def test_words_follow_from_the_index_and_vary_with_the_seed() -> None:
    first, again = (World().example(7, language=True) for _ in range(2))
    assert first.captions == again.captions
    assert first.questions == again.questions
    assert World(seed=5).example(7, language=True).captions != first.captions
