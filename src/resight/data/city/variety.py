"""Cloths and scenes of any colour: what a city has besides, where a model is to learn from it (`varied=1`).

A network that learnt from flat colours alone takes the weave, the print and the folds of a real garment for a
difference between people. Here garments have a cloth of their own, and places a texture and things of any colour.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.data.city.people import PATTERNS, Colour, Looks, draw_looks

FloatImage = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
TILE = 128  # of a texture, in pixels; it repeats
# Besides the city's own: a print, plaid, an open jacket, a broad band, a yoke.
VARIED_PATTERNS = (*PATTERNS, "print", "print", "plaid", "open", "open", "band", "yoke")
COLOURED = ("upper", "upper_second", "lower", "shoes", "bag_colour")
ANY_COLOUR = 0.5  # share of garments whose colour is not of the city's palettes


def draw_varied_looks(rng: np.random.Generator) -> Looks:
    """A person at random, whose clothes have a cloth, and half of them any colour."""
    looks = draw_looks(rng)
    colours: dict[str, Any] = {name: any_colour(rng) for name in COLOURED if rng.random() < ANY_COLOUR}
    return replace(looks, upper_pattern=str(rng.choice(VARIED_PATTERNS)), cloth=int(rng.integers(1, 2**31)), **colours)


def any_colour(rng: np.random.Generator) -> Colour:
    """Any hue, rather pale and rather dark than not."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.beta(1.2, 2.5), 0.06 + 0.9 * rng.beta(1.3, 1.6))
    r, g, b = (int(255 * value) for value in rgb)
    return r, g, b


def texture(rng: np.random.Generator, power: float) -> FloatImage:
    """(TILE, TILE) float32 of mean 0 and deviation 1, whose spectrum falls as 1 / frequency^power; it tiles."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    frequency[0, 0] = np.inf
    waves = (rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)) / frequency**power
    tile = np.fft.irfft2(waves, (TILE, TILE))
    found: FloatImage = (tile / tile.std()).astype(np.float32)
    return found


def varied_pattern(name: str, across: Floats, down: Floats, cloth: int) -> Mask:
    """Where the garment's second colour shows, in body coordinates, for the patterns that the city has not."""
    rng = np.random.default_rng([cloth, 1])
    size, share = float(rng.uniform(0.5, 1.6)), float(rng.uniform(0.15, 0.6))
    if name == "print":
        tile, zoom = texture(rng, float(rng.uniform(1.0, 2.2))), float(rng.uniform(100, 400))
        return _laid(tile, across, down, zoom) > float(rng.uniform(-0.3, 1.0))
    if name == "plaid":
        return ((across * 16 * size % 1) < share) | ((down * 16 * size % 1) < share)
    if name == "open":
        return np.abs(across + 0 * down) < float(rng.uniform(0.02, 0.05))
    if name == "band":
        return np.abs(down + 0 * across - float(rng.uniform(0.22, 0.4))) < float(rng.uniform(0.02, 0.09))
    return down + 0 * across < float(rng.uniform(0.22, 0.33))  # a yoke


def weave(rgb: FloatImage, garments: Sequence[Mask], cloth: int, across: Floats, down: Floats) -> None:
    """Gives each garment the texture of its cloth, some a fall of brightness, and all of them folds, in place.

    rgb: (h, w, 3) in 0 to 255. garments: (h, w) each, always as many and in one order, so that a person's cloths are
    the same in all pictures.
    """
    rng = np.random.default_rng(cloth)
    for shown in garments:
        tile = texture(rng, float(rng.uniform(0.4, 1.8)))
        depth, tint = float(rng.gamma(1.5, 0.07)), 1 + rng.normal(0, 0.35, 3).astype(np.float32)
        zoom, fall = float(rng.uniform(60, 300)), float(rng.normal(0, 0.5)) * float(rng.random() < 0.3)
        grain = _laid(tile, across, down, zoom)[shown, None]
        rgb[shown] *= np.exp(depth * grain * tint) * (1 + fall * (down + 0 * across - 0.4)[shown, None])
    rgb *= 1 + 0.1 * _laid(texture(rng, 1.6), 2 * across, down, 90.0)[..., None]
    np.clip(rgb, 0, 255, out=rgb)


def vary_scene(pixels: FloatImage, rng: np.random.Generator) -> None:
    """Gives a place a texture of any colour, and things that stand about, in place. pixels: (h, w, 3), 0 to 255."""
    height, width = pixels.shape[:2]
    grain = texture(rng, float(rng.uniform(0.8, 1.8)))
    ys, xs = np.arange(height) // 8, np.arange(width) // 8
    field = grain[np.ix_(ys % TILE, xs % TILE)][..., None]
    tint = np.array(any_colour(rng), np.float32) / 128
    own = np.array(any_colour(rng), np.float32) + 40 * field * tint
    share = float(rng.choice((0.0, 0.3, 0.6, 1.0)))
    pixels += share * (own - pixels) + 12 * float(rng.random()) * field
    for _ in range(int(rng.integers(14))):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        wide, high = int(rng.integers(8, width // 4)), int(rng.integers(8, height // 2))
        thing = pixels[top : top + high, left : left + wide]
        thing += float(rng.uniform(0.3, 1.0)) * (np.array(any_colour(rng), np.float32) - thing)


def _laid(tile: FloatImage, across: Floats, down: Floats, zoom: float) -> FloatImage:
    """The tile on a body, so many of its pixels a height."""
    laid: FloatImage = tile[(down * zoom).astype(np.int64) % TILE, (across * zoom).astype(np.int64) % TILE]
    return laid
