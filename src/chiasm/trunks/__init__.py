"""Pictures in, Features out; one file per family."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from chiasm.core import choice
from chiasm.core.protocols import TrunkConfig
from chiasm.core.registry import Registry

registry = Registry("chiasm.trunks", "trunk")

AnyTrunk = Annotated[TrunkConfig, BeforeValidator(choice.reader(registry)), PlainSerializer(choice.write)]
"""A field that holds the settings of any registered trunk."""
