"""`docs/models.md`: what is read, made from what the oracle tests measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from references import FLOAT32, FLOAT64, Deviation

from chiasm.core.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SERVES = {
    "encoder": "pictures",
    "classifier": "own classes",
    "dual_encoder": "words",
    "coca": "words, captions",
    "flamingo": "captions, answers",
    "language": "the language part of a Flamingo",
    "blip_matcher": "words, pairs",
    "blip_captioner": "captions",
    "blip_answerer": "answers",
}
"""What each kind of model adds; the page says which tasks follow from it."""


def read(record: Path) -> tuple[list[Deviation], dict[str, set[str]]]:
    """The comparisons of a run of the tests, and the kinds of model that each layout was read as."""
    deviations, kinds = [], {}
    for entry in map(json.loads, record.read_text(encoding="utf-8").splitlines()):
        if "kind" in entry:
            kinds.setdefault(entry["layout"], set()).add(entry["kind"])
        else:
            deviations.append(Deviation(**entry))
    return deviations, kinds


def write(record: Path) -> None:
    """Replace the measured part of the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(*read(record))}{END}{after}", encoding="utf-8")


def table(deviations: Sequence[Deviation], kinds: dict[str, set[str]]) -> str:
    """One row per layout and family."""
    groups: dict[tuple[str, str], list[Deviation]] = {}
    for one in sorted(deviations, key=lambda one: (one.family.lower(), one.layout, one.reference, one.part)):
        groups.setdefault((one.family, one.layout), []).append(one)
    rows = ["| family | layout | serves | compared with | what | float64 | float32 |", "|---|---|---|---|---|---|---|"]
    for (family, layout), group in groups.items():
        references = ", ".join(f"`{one}`" for one in dict.fromkeys(one.reference for one in group))
        parts = ", ".join(dict.fromkeys(one.part for one in group))
        served = kinds[layout] | (set() if kinds[layout] == {"language"} else {"encoder"})
        serves = ", ".join(word for kind, word in SERVES.items() if kind in served)
        exact, single = _most(one.float64 for one in group), _most(one.float32 for one in group)
        rows.append(f"| {family} | {layout} | {serves} | {references} | {parts} | {exact} | {single} |")
    return "\n".join(rows) + "\n"


def listed() -> dict[str, list[float]]:
    """Largest deviations by layout, float64 and then float32, as they stand on the page."""
    _, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    rows = [line.split("|")[1:-1] for line in rest.split(END)[0].strip().splitlines()[2:]]
    found: dict[str, list[float]] = {}
    for row in rows:
        _, name, *_, exact, single = (cell.strip() for cell in row)
        found.setdefault(name, [0.0, 0.0])
        for place, cell in enumerate((exact, single)):
            if cell != "-":
                found[name][place] = max(found[name][place], float(cell))
    return found


def complaints() -> list[str]:
    """What the page lacks or what it says beyond the limits."""
    there = listed()
    known = Registry("chiasm.weights.layouts", "layout").names()
    missing = [f"{name} is not listed" for name in known if name not in there]
    gone = [f"{name} is listed but there is no such layout" for name in there if name not in known]
    beyond = [
        f"{name} deviates by {deviation}"
        for name, deviations in there.items()
        for deviation, limit in zip(deviations, (FLOAT64, FLOAT32), strict=True)
        if deviation > limit
    ]
    return missing + gone + beyond


def _most(numbers: Iterable[float | None]) -> str:
    there = [number for number in numbers if number is not None]
    return f"{max(there):.1e}" if there else "-"
