"""Seamless grey textures for the backgrounds of the world, drawn once and kept.

Each is a square of values 0 to 255 that continues across its edges. One side of a texture spans one side of a picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from chiasm.core.seeds import stream

MASTER_PX = 512

Plane = Float32[np.ndarray, "H W"]
Texture = UInt8[np.ndarray, "H W"]


def cloudy(purpose: str, fine: float, stretch: tuple[float, float] = (1.0, 1.0), slope: float = 1.0) -> Plane:
    """Seamless noise with a power-law spectrum, mean 0, standard deviation 1.

    Args:
        purpose: tells this noise from every other.
        fine: largest number of waves per side that is present.
        stretch: how much longer structures are across and down.
        slope: fall of amplitude with frequency; 0 is white, 2 is smooth clouds.
    """
    white = stream(0, "world texture", purpose).standard_normal((MASTER_PX, MASTER_PX))
    down = np.fft.fftfreq(MASTER_PX, 1 / MASTER_PX)[:, None] * stretch[1]
    across = np.fft.rfftfreq(MASTER_PX, 1 / MASTER_PX)[None, :] * stretch[0]
    frequency = np.hypot(across, down)
    amplitude = np.where(frequency > 0, np.maximum(frequency, 1) ** -slope * np.exp(-((frequency / fine) ** 2)), 0)
    noise = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=white.shape)
    return (noise / noise.std()).astype(np.float32)


def wall() -> Texture:
    """Plaster: almost even, with broad stains."""
    return _levels(128 + 26 * cloudy("wall broad", 6, slope=1.5) + 9 * cloudy("wall fine", 120, slope=0.3))


def wood() -> Texture:
    """Five planks with grain and joints."""
    num = 5
    row, _ = _grid()
    height = MASTER_PX / num
    plank = (row // height).astype(int)
    warp = cloudy("wood warp", 8, (3.0, 1.0), 1.4)
    shifts = stream(0, "world texture", "planks").integers(0, MASTER_PX, (num, 2))
    grain = 0.8 * cloudy("wood grain", 170, (14.0, 1.0), 0.5) + 0.6 * cloudy("wood broad", 40, (9.0, 1.0), 1.0)
    rings = np.sin(2 * np.pi * (4 * row / height + 0.55 * warp))
    planks = np.concatenate([np.roll(grain, shifts[k], (0, 1))[plank[:, 0] == k] for k in range(num)])
    tone = np.array([-16, 12, -4, 20, -12], np.float32)[plank]
    joints = stream(0, "world texture", "joints").integers(0, MASTER_PX, num)[plank]
    _, column = _grid()
    gap = np.minimum(row % height, np.abs(column - joints) * 1.2)
    return _levels(132 + tone + 20 * planks + 12 * rings - 92 * np.clip(1.6 - gap / 2.2, 0, 1))


def brick() -> Texture:
    """Bricks in running bond."""
    return _masonry("brick", columns=4, rows=8, mortar_px=6.0, bond=0.5)


def tiles() -> Texture:
    """Square glazed tiles."""
    return _masonry("tiles", columns=4, rows=4, mortar_px=5.0, bond=0.0, rough=4.0, spread=13.0)


def grass() -> Texture:
    """Blades of grass, the bright ones on top."""
    noise = stream(0, "world texture", "blades")
    canvas = np.full((MASTER_PX, MASTER_PX), 70, np.uint8)
    for tone in np.linspace(55, 225, 2600):
        x, y = noise.uniform(0, MASTER_PX, 2)
        lean, length = noise.uniform(-0.45, 0.45), noise.uniform(22, 46)
        tip = (x + lean * length, y - length)
        blade = np.array([(x - 2.6, y), (x + 2.6, y), tip])
        for wrap_x in (-MASTER_PX, 0, MASTER_PX):
            for wrap_y in (0, MASTER_PX):
                points = np.round((blade + (wrap_x, wrap_y)) * 16).astype(np.int32)
                cv2.fillConvexPoly(canvas, points, int(tone + noise.normal(0, 1)), cv2.LINE_AA, 4)
    return _levels(canvas + 18 * cloudy("meadow", 7, slope=1.2))


def sand() -> Texture:
    """Sand with wind ripples."""
    row, _ = _grid()
    bend = cloudy("dunes", 7, slope=1.5)
    ripples = np.sin(2 * np.pi * (9 * row / MASTER_PX + 0.45 * bend))
    return _levels(128 + 24 * ripples + 12 * bend + 20 * cloudy("grains", 240, slope=0.1))


def sky() -> Texture:
    """Clouds: 0 is clear sky."""
    billows = cloudy("billows", 90, (0.8, 1.3), 1.75)
    return _levels(255 * np.clip((billows + 0.25) / 1.6, 0, 1))


def water() -> Texture:
    """The net of light on shallow water."""
    row, column = _grid()
    bend = cloudy("swell", 9, (0.7, 1.0), 1.4)
    shift = cloudy("cross swell", 9, (1.0, 0.7), 1.4)
    first = np.sin(2 * np.pi * (8 * row / MASTER_PX + 0.6 * bend))
    second = np.sin(2 * np.pi * ((7 * row + 2 * column) / MASTER_PX + 0.6 * shift))
    crest = np.exp(-((first + second) ** 2) / 0.22)
    return _levels(70 + 130 * crest + 22 * bend + 7 * cloudy("sparkle", 150, (2.0, 1.0), 0.2))


def _masonry(
    purpose: str,
    columns: int,
    rows: int,
    mortar_px: float,
    bond: float,
    rough: float = 13.0,
    spread: float = 26.0,
) -> Texture:
    """Blocks in rows, every other row shifted by `bond` blocks; the joints are darkest (value 0)."""
    row, column = _grid()
    height, width = MASTER_PX / rows, MASTER_PX / columns
    layer = (row // height).astype(int)
    along = (column + (layer % 2) * bond * width) % MASTER_PX
    block = (along // width).astype(int)
    tone = stream(0, "world texture", purpose).normal(0, spread, (rows, columns))[layer, block]
    into_x, into_y = along % width, row % height
    depth = np.minimum(np.minimum(into_x, width - into_x), np.minimum(into_y, height - into_y))
    face = 150 + tone + rough * cloudy(purpose, 150, slope=0.5) + 22 * np.clip(1 - into_y / 9, 0, 1)
    share = np.clip((depth - mortar_px / 2) / 2 + 0.5, 0, 1)
    return _levels(20 + 6 * cloudy(purpose + " mortar", 200, slope=0.2) + share * (face - 20))


def _grid() -> tuple[Plane, Plane]:
    row, column = np.indices((MASTER_PX, MASTER_PX), np.float32)
    return row, column


def _levels(values: np.ndarray) -> Texture:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
