"""The templates of the report: HTML macros and scripts beside this file, the macros escaped by default."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from chiasm.core.errors import MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, macro: str, *values: Any) -> str:
    """The HTML that one macro of a template makes of its values; whatever is not HTML already is escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    return getattr(_environment().get_template(template).module, macro)(*values)


def source(template: str) -> str:
    """The text of a template as it stands."""
    return (resources.files("chiasm.report") / "templates" / template).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError:
        raise MissingExtraError("jinja2", "report") from None
    return Environment(
        loader=PackageLoader("chiasm.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
