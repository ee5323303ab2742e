"""What is done to a text before it is cut into tokens: steps that a model's settings name, in their order.

Differs: `repaired` is what open_clip does to its texts by the library ftfy and twice `html.unescape`, but for text that
was decoded wrongly ("schÃ¶n"), which is not guessed at.
"""

from __future__ import annotations

import html
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Literal

Step = Literal["repaired", "lower", "blank_underscores", "no_punctuation", "single_blanks"]
"""Name of a step; `STEPS` holds what it does."""

_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
_ESCAPE = re.compile("\033\\[((?:\\d|;)*)([a-zA-Z])")
_BREAKS = re.compile("\r\n|[\r\u2028\u2029\u0085]")
_LATE_LATIN = re.compile("[\u0080-\u009f]")
_STRAIGHT = {
    **dict.fromkeys([0x02BC, *range(0x2018, 0x201C)], "'"),
    **dict.fromkeys(range(0x201C, 0x2020), '"'),
}
_LIGATURES = {
    letter: unicodedata.normalize("NFKC", chr(letter))
    for letter in (0x132, 0x133, *range(0x1C4, 0x1CD), *range(0x1F1, 0x1F4), 0xFB00, 0xFB01, 0xFB02, 0xFB03, 0xFB04)
} | {0x149: "'n", 0xFB05: "\u017ft", 0xFB06: "st"}
_WIDTHS = {0x3000: " "} | {place: unicodedata.normalize("NFKC", chr(place)) for place in range(0xFF01, 0xFFF0)}
_CONTROLS = dict.fromkeys(
    chain(range(9), [0x0B], range(0x0E, 0x20), [0x7F], range(0x206A, 0x2070), [0xFEFF], range(0xFFF9, 0xFFFD))
)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _repaired(text: str) -> str:
    """Entities, terminal escapes, ligatures, widths, curly quotes, line breaks and controls made plain; NFC."""
    # Where there is a tag, entities are left for the end, as ftfy does.
    text = text if "<" in text else _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    text = _LATE_LATIN.sub(_windows, _ESCAPE.sub("", text))
    text = text.translate(_LIGATURES).translate(_WIDTHS).translate(_STRAIGHT)
    text = unicodedata.normalize("NFC", _BREAKS.sub("\n", text).translate(_CONTROLS))
    return html.unescape(html.unescape(text)).strip()


def _windows(found: re.Match[str]) -> str:
    """A control that was meant as a letter of Windows-1252."""
    return found[0].encode("latin-1").decode("cp1252", errors="replace")


def _blank_underscores(text: str) -> str:
    return text.replace("_", " ")


def _no_punctuation(text: str) -> str:
    """Without the punctuation of ASCII."""
    return text.translate(_PUNCTUATION)


def _single_blanks(text: str) -> str:
    """Every run of white space as one blank, none at the ends."""
    return " ".join(text.split())


STEPS: Mapping[Step, Callable[[str], str]] = {
    "repaired": _repaired,
    "lower": str.lower,
    "blank_underscores": _blank_underscores,
    "no_punctuation": _no_punctuation,
    "single_blanks": _single_blanks,
}
