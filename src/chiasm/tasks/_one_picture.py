"""A picture file as a source of its own."""

from __future__ import annotations

from pathlib import Path

from chiasm.core.example import Example


class OnePicture:
    """The source that holds one picture file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return str(self._path)

    @property
    def classes(self) -> tuple[str, ...]:
        return ()

    def __len__(self) -> int:
        return 1

    def key(self, index: int) -> str:
        return self._path.name

    def label(self, index: int) -> int | None:
        return None

    def read(self, index: int, min_side_px: int | None = None) -> Example:
        """Read the picture.

        Raises:
            BrokenPictureError: it is missing or cannot be decoded.
        """
        from chiasm.data.decode import decode_file

        return Example(self._path.name, decode_file(self._path, str(self._path), min_side_px))
