"""Going on from a model that is there already, ours or public: continued pretraining."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.core.protocols import Objective, Trunk, TrunkConfig
from chiasm.core.tensors import read_tensors
from chiasm.engine.checkpoint import FILE_NAME, read_position
from chiasm.models import load_picture_model


class Start:
    """The trunk of a loaded model, as what a run begins with.

    Where the model is the folder of a run, a new run of the same recipe also takes over what the old one had beside the
    trunk to keep: the student's trunk, heads, teacher, centres. The file of weights in such a folder
    (`runs/x/model.safetensors`) names the trunk alone.

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
        self._checkpoint = Path(name) / FILE_NAME

    def settings(self, wanted: TrunkConfig) -> TrunkConfig:
        """Settings of the model's trunk, changed where something was given.

        Args:
            wanted: what was given; its family must be the model's unless nothing was.

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
        settings = {name: getattr(own, name) for name in type(own).model_fields}
        return type(own).parse({**settings, **given}, "the trunk")

    def fill(self, trunk: Trunk) -> None:
        """Put the model's weights into a trunk built from `settings`; what is new (a mask token) stays as it began.

        Positions are resampled where the trunk is for pictures of another size.

        Raises:
            InputError: the weights do not fit the settings that were given.
        """
        theirs, ours = self._encoder.trunk.weights_for(trunk.image_size), trunk.state_dict()
        self._check(theirs, ours)
        missing = [name for name in ours if name not in theirs and not _is_new(name)]
        if missing:
            do = "leave out the --trunk settings that change its parts"
            raise InputError(f"weights for all parts of the trunk in {self.name}", f"{missing[0]} has none", do)
        trunk.load_state_dict({**ours, **theirs})

    def bring(self, objective: Objective, recipe: str) -> None:
        """Put what a run of the same recipe had beside the trunk to keep into an objective around a filled trunk.

        Nothing happens where the model is none of such a run.

        Raises:
            InputError: the checkpoint is damaged, or its parts do not fit the settings of the objective.
        """
        if not goes_on_from(self.name, recipe):
            return
        stored = _under(read_tensors(self._checkpoint), "objective.")
        for name, part in objective.named_children():
            if isinstance(part, Trunk):
                moved = self._moved(_under(stored, f"{name}."), part)
                stored |= {f"{name}.{key}": value for key, value in moved.items()}
        ours = objective.state_dict()
        strange = sorted(name for name in {*stored, *ours} if not _alike(stored.get(name), ours.get(name)))
        if strange:
            trunk_alone = self._checkpoint.with_name("model.safetensors")
            do = f"give the --objective settings of that run, or start from {trunk_alone}"
            raise InputError(f"heads like those of {self.name}", f"{strange[0]} does not fit", do)
        objective.load_state_dict(stored)

    def _moved(self, stored: Mapping[str, Tensor], trunk: Trunk) -> Mapping[str, Tensor]:
        """A trunk's weights from a checkpoint, resampled where it is for pictures of another size."""
        if all(_alike(value, stored.get(name)) for name, value in trunk.state_dict().items()):
            return stored
        old = self._encoder.config.trunk.build()
        self._check(stored, old.state_dict())
        old.load_state_dict(stored, strict=False)
        return old.weights_for(trunk.image_size)

    def _check(self, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
        """Refuse weights that have no place of their shape."""
        strange = [name for name, value in theirs.items() if not _alike(value, ours.get(name))]
        if strange:
            do = "leave out the --trunk settings that change its parts"
            raise InputError(f"a trunk like that of {self.name}", f"{strange[0]} does not fit", do)


def goes_on_from(name: str, recipe: str) -> bool:
    """Whether a model is the folder of a run of a recipe, from which everything comes along."""
    checkpoint = Path(name) / FILE_NAME
    return checkpoint.is_file() and read_position(checkpoint).run.get("recipe") == recipe


def _alike(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and one.shape == other.shape


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _is_new(name: str) -> bool:
    """Whether a weight belongs to what hides patches, which a model that was trained otherwise has not."""
    return name.startswith("hiding.")
