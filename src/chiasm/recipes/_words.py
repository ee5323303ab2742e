"""Settings in words: what differs from the defaults, as a summary and as the shell's options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chiasm.core.config import Config


def changed(config: Config) -> list[tuple[str, object]]:
    """Dotted names and values of the settings that are not as usual, in a fixed order.

    Compared value by value, and not by pydantic's own means: those leave out the name of a part's kind, since each kind
    has its own name as default.
    """
    usual = dict(_flat(type(config)().model_dump(mode="json"), ""))
    return sorted(pair for pair in _flat(config.model_dump(mode="json"), "") if pair not in usual.items())


def summary(config: Config) -> str:
    """What is not as usual, in one line."""
    return " ".join(f"{name}={value}" for name, value in changed(config)) or "defaults"


def options(prefix: str, config: Config) -> list[str]:
    """What is not as usual, or was given, as options of the shell: `--trunk.depth=2`; a list is given by repetition.

    What was given is named even where it is as usual: a recipe chooses some settings that are left out.
    """
    given = _flat(config.model_dump(mode="json", include=config.model_fields_set), "")
    return _options(prefix, {**dict(changed(config)), **dict(given)})


def differing(prefix: str, config: Config, usual: Config) -> list[str]:
    """What is other than the command takes by itself, as options of the shell."""
    theirs = dict(_flat(usual.model_dump(mode="json"), ""))
    ours = _flat(config.model_dump(mode="json"), "")
    return _options(prefix, {name: value for name, value in ours if value != theirs.get(name)})


def _options(prefix: str, values: Mapping[str, object]) -> list[str]:
    return [
        f"--{prefix}.{name.replace('_', '-')}={part}"
        for name, value in sorted(values.items())
        for part in (value if isinstance(value, list) else [value])
        if part is not None
    ]


def _flat(values: Mapping[str, object], above: str) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
