"""Going on from a model that is there already, ours or public: continued pretraining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.core.errors import InputError
from chiasm.core.protocols import Trunk, TrunkConfig
from chiasm.models import load_picture_model


class Start:
    """The trunk of a loaded model, as what a run begins with.

    Args:
        name: of the model, as `chiasm.load` takes it.

    Attributes:
        name: the same.

    Raises:
        InputError: nothing usable is there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._encoder = load_picture_model(name).encoder

    def settings(self, wanted: TrunkConfig, needs: Mapping[str, Any]) -> TrunkConfig:
        """Settings of the model's trunk, changed where something was given.

        Args:
            wanted: what was given; its family must be the model's unless nothing was.
            needs: what the method cannot do without and a trunk may lack (a mask token).

        Raises:
            InputError: another family was asked for.
        """
        own = self._encoder.config.trunk
        given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
        if given and type(own) is not type(wanted):
            do = f"leave out --trunk.family, or say --trunk.family {own.family}"
            raise InputError(
                f"settings of the family of {self.name}, {own.family}", f"those of {wanted.family} came", do
            )
        new = {name: value for name, value in needs.items() if name in type(own).model_fields}
        settings = {name: getattr(own, name) for name in type(own).model_fields}
        return type(own).parse({**settings, **new, **given}, "the trunk")

    def fill(self, trunk: Trunk) -> None:
        """Put the model's weights into a trunk built from `settings`; what is new (a mask token) stays as it began.

        Raises:
            InputError: the weights do not fit the settings that were given.
        """
        theirs, ours = self._encoder.trunk.state_dict(), trunk.state_dict()
        strange = [name for name, value in theirs.items() if name not in ours or ours[name].shape != value.shape]
        if strange:
            do = "leave out the --trunk settings that change its parts"
            raise InputError(f"a trunk like that of {self.name}", f"{strange[0]} does not fit", do)
        missing = [name for name in ours if name not in theirs and not _is_new(name)]
        if missing:
            do = "leave out the --trunk settings that change its parts"
            raise InputError(f"weights for all parts of the trunk in {self.name}", f"{missing[0]} has none", do)
        trunk.load_state_dict({**ours, **theirs})


def _is_new(name: str) -> bool:
    """Whether a weight belongs to what hides patches, which a model that was trained otherwise has not."""
    return name.startswith("hiding.")
