"""Configuration: frozen, typed, with nothing extra, and errors that fit on one line."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from chiasm.core.errors import InputError, nearest

# `typing.Self` would say the same, but the run-time checker of the tests cannot see which class a method belongs to.
ConfigType = TypeVar("ConfigType", bound="Config")


class Config(BaseModel):
    """Base of every configuration; a subclass's `build` makes the object that it configures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls: type[ConfigType], values: object, where: str) -> ConfigType:
        """Validate plain values.

        Args:
            values: the settings, as read from JSON or the shell.
            where: what the settings belong to, named in the error ("config.json of runs/cifar").

        Raises:
            InputError: a key is unknown (the nearest known one is offered) or a value has the wrong type or range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise explain(error, cls, where) from None


def explain(error: ValidationError, model: type[BaseModel] | None, where: str) -> InputError:
    """Turn the first complaint of pydantic into one line a person can act on."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1]) if model else []
        near = nearest(str(first["loc"][-1]), known)
        do = f"did you mean {near!r}" if near else f"remove it (known keys: {', '.join(known)})"
        return InputError(f"only known keys in {where}", f"{key!r} is not one", do)
    if first["type"] == "missing":
        return InputError(f"the key {key!r} in {where}", "it is missing", "add it")
    if not key:
        return InputError(f"named settings in {where}", f"{first['input']!r} came", "write them as an object")
    message = first["msg"]
    return InputError(f"a valid {key!r} in {where}", f"{first['input']!r} came", f"note: {message}")


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the (possibly nested) model that `path` leads to."""
    for part in path:
        field = model.model_fields.get(str(part))
        nested = field.annotation if field else None
        if not (isinstance(nested, type) and issubclass(nested, BaseModel)):
            return list(model.model_fields)
        model = nested
    return list(model.model_fields)
