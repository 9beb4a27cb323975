"""Strips on a network whose workings are known: one that sees the mean colour of each strip."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from resight.core.pictures.preprocessing import Preprocessing
from resight.data.crops import Crop, Dataset
from resight.embedding.explain import measure_faithfulness
from resight.embedding.loading import of_run
from resight.evaluation.parts.strips import strip_importance
from resight.models.catalogue import Architecture
from resight.models.saved import ModelConfig, TrainedNetwork

STRIPS, TELLING = 4, 2


class MeanColours(nn.Module):
    """(n, 3, h, w) to (n, 4 * 4): the mean colour of each strip, and a constant, each part of unit length."""

    def forward(self, images: Tensor) -> Tensor:
        parts = []
        for strip in images.chunk(STRIPS, dim=2):
            colour = torch.cat((strip.mean(dim=(2, 3)), torch.full((len(images), 1), 0.5)), dim=1)
            parts.append(functional.normalize(colour, dim=1))
        joined = torch.cat(parts, dim=1)  # (n, 4 * 4)
        return functional.normalize(joined, dim=1)


def picture(person: int, rng: np.random.Generator) -> bytes:
    """Grey noise, and one strip in the person's colour."""
    pixels = rng.integers(118, 138, (32, 16, 3))
    colour = np.random.default_rng(person).integers(0, 255, 3)
    pixels[TELLING * 8 : (TELLING + 1) * 8] = np.clip(colour + rng.integers(-10, 10, (8, 16, 3)), 0, 255)
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_the_strip_that_tells_people_apart_is_found_and_its_loss_is_felt() -> None:
    rng = np.random.default_rng(0)

    def crops(camid: int) -> tuple[Crop, ...]:
        return tuple(Crop(f"{camid}/{pid}.png", pid, camid, data=picture(pid, rng)) for pid in range(1, 31))

    city = Dataset("stripes", "folder", (), crops(1), crops(2))
    size = Preprocessing(32, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    config = ModelConfig(Architecture("slicenet1", 16, STRIPS), size, "nothing", "none")
    model = of_run(TrainedNetwork(MeanColours().eval(), config), Path("stripes"))
    embedded = model.embed_dataset(city)
    importance = strip_importance(embedded.query, embedded.gallery, STRIPS, "market1501")
    assert (importance.argmax(axis=1) == TELLING).mean() > 0.85  # some people's colours are nearly alike
    found = measure_faithfulness(
        model, city.query, city.gallery, embedded.query, embedded.gallery, importance, "market1501"
    )
    assert found.whole[0] >= 0.9
    for deletion in (found.left_out, found.painted):
        assert deletion.most[0] < 0.3  # by the noise of the rest only
        assert deletion.least[0] >= 0.9
        assert deletion.most[1] < deletion.any[1] < deletion.least[1]
