"""Outlines of the pictorial shapes: silhouettes with a few details, recognisable on a dozen pixels.

One function per class, of the class's name; sizes are free, see `shapes`.
"""

from __future__ import annotations

import numpy as np

from chiasm.data.world.curves import (
    TURN,
    Form,
    box,
    disc,
    ellipse,
    mirrored,
    polygon,
    scallops,
    spline,
    stroke,
    turned,
)


def house() -> Form:
    wall = box(-0.75, -0.15, 0.75, 1)
    roof = polygon((0, -1), (1.05, -0.1), (-1.05, -0.1))
    chimney = box(0.42, -0.95, 0.68, -0.3)
    door = box(-0.2, 0.4, 0.2, 1.0)
    eaves = box(-0.75, -0.12, 0.75, 0.0)
    panes = (box(-0.62, 0.15, -0.32, 0.45), box(0.32, 0.15, 0.62, 0.45))
    return Form((wall, roof, chimney), dark=(door, eaves), light=panes)


def tree() -> Form:
    tiers = (
        polygon((0, -1.25), (0.55, -0.45), (-0.55, -0.45)),
        polygon((0, -0.85), (0.75, 0.1), (-0.75, 0.1)),
        polygon((0, -0.35), (0.95, 0.7), (-0.95, 0.7)),
    )
    trunk = box(-0.2, 0.6, 0.2, 1.15)
    return Form((*tiers, trunk), dark=(box(-0.2, 0.7, 0.2, 1.15),))


def car() -> Form:
    body = spline((-1.2, 0.1), (-1.05, -0.08), (-0.2, -0.12), (0.75, -0.1), (1.2, 0.1), (1.22, 0.42), (-1.22, 0.42))
    cabin = polygon((-0.78, 0), (-0.48, -0.55), (0.35, -0.55), (0.75, 0))
    wheels = (disc(-0.66, 0.42, 0.3), disc(0.66, 0.42, 0.3))
    hubs = (disc(-0.66, 0.42, 0.12), disc(0.66, 0.42, 0.12))
    panes = (
        polygon((-0.55, -0.06), (-0.36, -0.42), (-0.1, -0.42), (-0.1, -0.06)),
        polygon((0.02, -0.06), (0.02, -0.42), (0.27, -0.42), (0.52, -0.06)),
    )
    return Form((body, cabin, *wheels), dark=wheels, light=(*panes, *hubs))


def fish() -> Form:
    body = spline((1.15, 0.0), (0.65, -0.48), (-0.05, -0.55), (-0.7, -0.1), (-0.7, 0.1), (-0.05, 0.55), (0.65, 0.48))
    tail = polygon((-0.5, 0), (-1.2, -0.58), (-1.0, 0.0), (-1.2, 0.58))
    fins = (polygon((-0.25, -0.42), (0.05, -0.85), (0.4, -0.45)), polygon((0.0, 0.45), (0.05, 0.78), (0.35, 0.42)))
    gill = stroke(0.08, (0.4, -0.32), (0.32, 0.0), (0.4, 0.32))
    return Form((body, tail, *fins), dark=(disc(0.72, -0.12, 0.13), *gill))


def cup() -> Form:
    body = polygon((-0.8, -0.7), (0.6, -0.7), (0.48, 0.55), (0.3, 0.8), (-0.5, 0.8), (-0.68, 0.55))
    handle = disc(0.66, -0.08, 0.46)
    inside = ellipse(-0.1, -0.7, 0.7, 0.17)
    return Form(
        (handle, body, inside), holes=(ellipse(0.72, -0.08, 0.2, 0.24),), dark=(ellipse(-0.1, -0.7, 0.58, 0.11),)
    )


def key() -> Form:
    shaft = box(-0.2, -0.17, 1.35, 0.17)
    teeth = (box(0.8, 0, 1.02, 0.55), box(1.15, 0, 1.35, 0.5))
    return Form((disc(-0.75, 0, 0.65), shaft, *teeth), holes=(disc(-0.75, 0, 0.28),))


def leaf() -> Form:
    blade = spline(*mirrored((0, -1.2), (0.42, -0.62), (0.66, 0.0), (0.45, 0.55), (0, 0.85)), num=10)
    stem = stroke(0.16, (0, 0.7), (0.1, 1.25))
    veins = stroke(0.09, (0, -0.85), (0, 0.8))
    for y in (-0.35, 0.0, 0.35):
        veins += stroke(0.07, (0, y + 0.15), (0.36, y - 0.16)) + stroke(0.07, (0, y + 0.15), (-0.36, y - 0.16))
    return Form((blade, *stem), dark=(*veins, *stem))


def bird() -> Form:
    body = spline(
        (0.62, -0.55), (0.85, -0.2), (0.6, 0.35), (0.0, 0.6), (-0.6, 0.3), (-0.75, 0.0), (-0.1, -0.2), (0.2, -0.6)
    )
    head = disc(0.5, -0.52, 0.4)
    tail = polygon((-0.45, -0.05), (-1.3, -0.35), (-1.2, 0.1), (-0.4, 0.4))
    beak = polygon((0.8, -0.72), (1.3, -0.45), (0.82, -0.3))
    legs = stroke(0.1, (0.05, 0.5), (0.05, 0.98), (0.25, 0.98)) + stroke(0.1, (0.32, 0.45), (0.36, 0.98), (0.56, 0.98))
    wing = spline((0.25, -0.08), (0.05, 0.32), (-0.55, 0.12), (-0.2, -0.08))
    return Form((body, head, tail, beak, *legs), dark=(beak, *legs, wing, disc(0.6, -0.6, 0.08)))


def boat() -> Form:
    hull = polygon((-1.15, 0.35), (1.15, 0.35), (0.8, 0.95), (-0.75, 0.95))
    mast = box(-0.11, -1.15, 0.03, 0.4)
    main_sail = polygon((0.06, -1.15), (0.06, 0.25), (0.95, 0.25))
    jib = polygon((-0.14, -0.95), (-0.14, 0.25), (-0.85, 0.25))
    rope = box(-0.95, 0.55, 0.95, 0.68)
    return Form((hull, mast, main_sail, jib, box(-0.2, 0.2, 0.2, 0.4)), dark=(mast, rope))


def mushroom() -> Form:
    cap = spline(*mirrored((0, -0.95), (0.6, -0.78), (1.0, -0.25), (0.98, 0.08), (0.5, 0.16), (0.0, 0.18)), num=10)
    stalk = spline(*mirrored((0, 0.0), (0.3, 0.1), (0.28, 0.55), (0.42, 0.92), (0.0, 1.0)), num=10)
    shown = spline(*mirrored((0, 0.2), (0.28, 0.2), (0.28, 0.55), (0.42, 0.92), (0.0, 1.0)), num=10)
    return Form((cap, stalk), dark=(ellipse(0, 0.17, 0.62, 0.08),), light=(shown,))


def umbrella() -> Form:
    angle = np.linspace(0.5, 1.0, 40) * TURN
    dome = [(float(1.15 * np.cos(a)), float(1.1 * np.sin(a))) for a in angle]
    hem = scallops((1.15, 0.58, 0.0, -0.58, -1.15), -0.22)
    canopy = polygon(*dome, *hem)
    handle = stroke(0.15, (0, -0.3), (0, 0.85), (0.08, 1.02), (0.25, 1.05), (0.36, 0.9))
    tip = box(-0.06, -1.28, 0.06, -1.0)
    ribs = stroke(0.06, (0, -1.1), (0.5, -0.6), (0.58, -0.02)) + stroke(0.06, (0, -1.1), (-0.5, -0.6), (-0.58, -0.02))
    return Form((canopy, *handle, tip), dark=(*handle, tip, *ribs))


def flower() -> Form:
    petals = tuple(turned(ellipse(0, -0.68, 0.36, 0.46), share / 6) for share in range(6))
    return Form((*petals, disc(0, 0, 0.4)), dark=(disc(0, 0, 0.32),), light=(disc(0, 0, 0.18),))


def bottle() -> Form:
    right = ((0.2, -1.3), (0.2, -0.62), (0.48, -0.22), (0.5, 1.2))
    body = polygon(*mirrored(*right))
    label = box(-0.4, 0.15, 0.4, 0.8)
    cork = box(-0.26, -1.38, 0.26, -1.12)
    return Form((body, cork), dark=(cork,), light=(label,))


def bell() -> Form:
    right = ((0, -0.95), (0.4, -0.82), (0.58, -0.35), (0.66, 0.25), (1.0, 0.62))
    dome = polygon(*mirrored(*right))
    rim = box(-1.0, 0.55, 1.0, 0.74)
    clapper = disc(0, 0.82, 0.22)
    loop = disc(0, -1.0, 0.2)
    return Form((spline(*mirrored(*right, (0, 0.66))), dome, rim, clapper, loop), dark=(rim, clapper))


def cloud() -> Form:
    puffs = (disc(-0.75, 0.2, 0.45), disc(-0.25, -0.2, 0.55), disc(0.4, -0.08, 0.5), disc(0.88, 0.25, 0.38))
    return Form((*puffs, box(-0.75, 0.1, 0.88, 0.64)))


def hand() -> Form:
    palm = spline((-0.52, -0.1), (0.52, -0.1), (0.5, 0.6), (0.3, 1.05), (-0.32, 1.05), (-0.52, 0.6))
    fingers = (
        stroke(0.27, (-0.42, 0.2), (-0.56, -0.68))
        + stroke(0.27, (-0.13, 0.1), (-0.17, -0.98))
        + stroke(0.27, (0.16, 0.1), (0.23, -0.92))
        + stroke(0.26, (0.4, 0.2), (0.6, -0.58))
    )
    thumb = stroke(0.3, (-0.3, 0.7), (-0.72, 0.4), (-0.98, 0.08))
    return Form((palm, *fingers, *thumb))


def apple() -> Form:
    right = ((0, -0.42), (0.4, -0.6), (0.86, -0.35), (0.92, 0.2), (0.55, 0.85), (0.2, 0.95), (0, 0.86))
    stem = stroke(0.13, (0, -0.4), (0.08, -0.95))
    leaflet = spline((0.1, -0.68), (0.35, -1.0), (0.72, -0.98), (0.45, -0.68))
    return Form((spline(*mirrored(*right)), *stem, leaflet), dark=stem, light=(ellipse(-0.5, -0.1, 0.12, 0.22),))


def rocket() -> Form:
    hull = spline(*mirrored((0, -1.3), (0.3, -0.8), (0.42, -0.1), (0.34, 0.62), (0.0, 0.72)), num=10)
    fin = polygon((0.3, 0.05), (0.82, 0.72), (0.78, 1.0), (0.25, 0.6))
    fins = (fin, fin * np.array([-1, 1]))
    nozzle = polygon((-0.2, 0.6), (0.2, 0.6), (0.28, 0.9), (-0.28, 0.9))
    nose = polygon((0, -1.3), (0.27, -0.82), (-0.27, -0.82))
    return Form((hull, *fins, nozzle), dark=(nozzle, nose, disc(0, -0.28, 0.26)), light=(disc(0, -0.28, 0.17),))
