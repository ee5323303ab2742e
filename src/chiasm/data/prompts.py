"""Class names and the sentences around them: what a model that reads text is asked when it classifies without examples.

A template is a sentence with `{}` where the name goes. Known sets of them:

    plain     `a photo of a {}.`
    simple    the 7 that OpenAI's notebook names as the best few of the 80
    imagenet  the 80 that OpenAI wrote for ImageNet

Paper: Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020),
    section 3.1.4. The texts of `simple` and `imagenet` are data from the repository github.com/openai/CLIP (MIT
    licence), notebooks/Prompt_Engineering_for_ImageNet.ipynb.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from chiasm.core.errors import InputError, nearest
from chiasm.core.files import expanded, is_there, read_json, read_text

ClassNames = Annotated[tuple[str, ...], "names of classes"]
"""What pictures may show, in words; in a shell a file or a list (`open_names`)."""

Templates = Annotated[tuple[str, ...], "sentences around a class name"]
"""Sentences with `{}` where the name goes; in a shell the name of a set or a file (`open_templates`)."""

PLACE = "{}"
_FILES = (".txt", ".json")

PLAIN: Templates = ("a photo of a {}.",)

SETS: dict[str, Templates] = {
    "plain": PLAIN,
    "simple": (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
    "imagenet": (
        "a bad photo of a {}.",
        "a photo of many {}.",
        "a sculpture of a {}.",
        "a photo of the hard to see {}.",
        "a low resolution photo of the {}.",
        "a rendering of a {}.",
        "graffiti of a {}.",
        "a bad photo of the {}.",
        "a cropped photo of the {}.",
        "a tattoo of a {}.",
        "the embroidered {}.",
        "a photo of a hard to see {}.",
        "a bright photo of a {}.",
        "a photo of a clean {}.",
        "a photo of a dirty {}.",
        "a dark photo of the {}.",
        "a drawing of a {}.",
        "a photo of my {}.",
        "the plastic {}.",
        "a photo of the cool {}.",
        "a close-up photo of a {}.",
        "a black and white photo of the {}.",
        "a painting of the {}.",
        "a painting of a {}.",
        "a pixelated photo of the {}.",
        "a sculpture of the {}.",
        "a bright photo of the {}.",
        "a cropped photo of a {}.",
        "a plastic {}.",
        "a photo of the dirty {}.",
        "a jpeg corrupted photo of a {}.",
        "a blurry photo of the {}.",
        "a photo of the {}.",
        "a good photo of the {}.",
        "a rendering of the {}.",
        "a {} in a video game.",
        "a photo of one {}.",
        "a doodle of a {}.",
        "a close-up photo of the {}.",
        "a photo of a {}.",
        "the origami {}.",
        "the {} in a video game.",
        "a sketch of a {}.",
        "a doodle of the {}.",
        "a origami {}.",
        "a low resolution photo of a {}.",
        "the toy {}.",
        "a rendition of the {}.",
        "a photo of the clean {}.",
        "a photo of a large {}.",
        "a rendition of a {}.",
        "a photo of a nice {}.",
        "a photo of a weird {}.",
        "a blurry photo of a {}.",
        "a cartoon {}.",
        "art of a {}.",
        "a sketch of the {}.",
        "a embroidered {}.",
        "a pixelated photo of a {}.",
        "itap of the {}.",
        "a jpeg corrupted photo of the {}.",
        "a good photo of a {}.",
        "a plushie {}.",
        "a photo of the nice {}.",
        "a photo of the small {}.",
        "a photo of the weird {}.",
        "the cartoon {}.",
        "art of the {}.",
        "a drawing of the {}.",
        "a photo of the large {}.",
        "a black and white photo of a {}.",
        "the plushie {}.",
        "a dark photo of a {}.",
        "itap of a {}.",
        "graffiti of the {}.",
        "a toy {}.",
        "itap of my {}.",
        "a photo of a cool {}.",
        "a photo of a small {}.",
        "a tattoo of the {}.",
    ),
}


def prompts(name: str, templates: Templates) -> tuple[str, ...]:
    """The sentences about one class; underscores, which names of folders have for blanks, are read as such."""
    words = name.replace("_", " ")
    return tuple(template.replace(PLACE, words) for template in templates)


def open_names(word: str) -> ClassNames:
    """Class names from what a person writes: a file with one name per line, a .json list, or `cat,dog,horse`.

    Raises:
        InputError: there is no such file, it holds no list of names, or a name comes twice.
    """
    path = expanded(word)
    is_file = is_there(path) or path.suffix in _FILES
    names = _lines(path, "class names") if is_file else tuple(part.strip() for part in word.split(","))
    return check_names(names, word)


def check_names(names: Iterable[str], where: str) -> ClassNames:
    """The names without blanks around them.

    Args:
        names: as they came.
        where: what the error calls the place that they came from.

    Raises:
        InputError: there is none, one is empty, or one comes twice.
    """
    clean = tuple(name.strip() for name in names)
    if not clean or not all(clean):
        came = "one is empty" if clean else "there is none"
        raise InputError(f"names of classes in {where!r}", came, "write one for each class")
    name, count = Counter(clean).most_common(1)[0]
    if count > 1:
        raise InputError(f"each class once in {where!r}", f"{name!r} comes {count} times", "name each one differently")
    return clean


def open_templates(word: str) -> Templates:
    """Templates from what a person writes: the name of a set, a file with one per line, or one template itself.

    Raises:
        InputError: it is none of these, or a template has no `{}`.
    """
    if word in SETS:
        return SETS[word]
    if PLACE in word:
        return (word,)
    path = expanded(word)
    if not is_there(path) and path.suffix not in _FILES:
        near = nearest(word, SETS)
        do = f"did you mean {near!r}" if near else "name one of these"
        raise InputError(f"templates ({', '.join(SETS)}, a file or a text with {PLACE})", f"{word!r} came", do)
    return check_templates(_lines(path, "templates"), word)


def check_templates(templates: Iterable[str], where: str) -> Templates:
    """The templates; `where` is what the error calls the place that they came from.

    Raises:
        InputError: there is none, or one has no place for the name.
    """
    found = tuple(templates)
    wrong = next((template for template in found if PLACE not in template), None)
    if wrong is not None or not found:
        came = "there is none" if wrong is None else f"{wrong!r} has none"
        raise InputError(
            f"sentences with {PLACE} for the class in {where!r}", came, "write one such as 'a photo of a {}.'"
        )
    return found


def _lines(path: Path, what: str) -> tuple[str, ...]:
    """A .json list of texts, or the lines of a text file that are not empty."""
    if path.suffix != ".json":
        lines = (line.strip() for line in read_text(path, what).removeprefix("\ufeff").splitlines())
        return tuple(line for line in lines if line)
    found = read_json(path, what)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InputError(f"a list of texts in {path}", "it holds something else", 'write it as ["one", "two"]')
    return tuple(found)
