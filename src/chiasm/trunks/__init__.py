"""Pictures in, Features out, or text in, tokens out; one file per family."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from chiasm.core import choice
from chiasm.core.protocols import TextTrunkConfig, TrunkConfig
from chiasm.core.registry import Registry

registry = Registry("chiasm.trunks", "trunk")

AnyTrunk = Annotated[
    TrunkConfig,
    BeforeValidator(choice.reader(registry, TrunkConfig, "a trunk for pictures")),
    PlainSerializer(choice.write),
]
"""A field that holds the settings of any registered trunk for pictures."""

AnyTextTrunk = Annotated[
    TextTrunkConfig,
    BeforeValidator(choice.reader(registry, TextTrunkConfig, "a trunk for text")),
    PlainSerializer(choice.write),
]
"""A field that holds the settings of any registered trunk for text."""
