"""Configuration of a part that can be of several kinds: the kind's name travels with its settings.

    trunk: AnyTrunk   <->   {"family": "vit", "size": "pico", ...}

The kinds are the files of a registry, so a new one needs no line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BeforeValidator

from chiasm.core.config import Config
from chiasm.core.errors import InputError
from chiasm.core.registry import Registry

KEY = "family"


def reader(registry: Registry, base: type[Config], what: str) -> Callable[[Any], Any]:
    """A pydantic validator that turns `{"family": name, ...}` into that entry's `Config`; a `Config` passes.

    Args:
        registry: of the kinds.
        base: what the `Config` of an entry must be derived from to be taken.
        what: such an entry in words, for the error ("a trunk for pictures").
    """

    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        settings = dict(value)
        name = settings.pop(KEY, None)
        config = registry.config(str(name))
        if not issubclass(config, base):
            fitting = [known for known in registry.names() if issubclass(registry.config(known), base)]
            raise InputError(f"{what} ({', '.join(fitting)})", f"{name!r} is another kind", "choose one of these")
        return config.parse(settings, f"the {registry.kind} {name}")

    return read


def usually(kind: str) -> BeforeValidator:
    """Metadata of a union of configurations told apart by `kind`: settings that name none are of this one.

    So `--trunk.mlp.mlp-ratio 2` need not repeat the kind that it has anyway.
    """
    return BeforeValidator(lambda value: {"kind": kind, **value} if isinstance(value, Mapping) else value)


def write(config: Config) -> dict[str, Any]:
    """A pydantic serialiser: the settings with the name of the file that their class stands in."""
    return {KEY: type(config).__module__.rsplit(".", 1)[-1], **config.model_dump(mode="json")}


def unless_given(**values: Any) -> BeforeValidator:
    """Metadata of a part whose default differs from its class's: settings that give some values keep these others.

    So `--objective.crops.num-local 4` does not undo what a method has made of the rest.
    """
    return BeforeValidator(lambda given: {**values, **given} if isinstance(given, Mapping) else given)
