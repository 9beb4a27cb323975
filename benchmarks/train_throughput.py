"""Training throughput: resight's loop against the plain eager loop that one would write first.

Both train the same network with the same mathematics (Adam at 1e-3, batches of 16, dropout, flipped copies)
from the same JPEG files. The plain loop: a Dataset that opens each file by Pillow when it is asked for,
a DataLoader, eager PyTorch in its default memory layout, Adam. Ours: the pictures decoded once and kept as
uint8, channels-last, fused Adam, a dropout of our own, with and without torch.compile (its compiling is timed
apart), and in bfloat16, which is what `resight train` takes where the CPU computes in it.

Prints images a second, the ratio to the plain loop, and the share of this machine's own single-precision
matrix rate, measured in the same run.

    python benchmarks/train_throughput.py [--network bignet] [--seconds 30] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torch.utils.flop_counter import FlopCounterMode

from resight.core.pictures.preprocessing import Preprocessing
from resight.data.city.synthetic import CityConfig, draw_city, save_city
from resight.data.crops import Crop, labels_of
from resight.data.formats.folder import read_folder
from resight.losses.cosine_softmax import CosineSoftmax
from resight.losses.joint import JointLoss
from resight.models.catalogue import Architecture, build_network
from resight.models.devices import channels_last
from resight.models.dropout import Dropout
from resight.training.batches.augmentation import flip_where
from resight.training.batches.images import load_training_images
from resight.training.objective import Objective

BATCH, HEIGHT, WIDTH = 16, 128, 48
ROUNDS = 3


class PlainDataset(TorchDataset[tuple[Tensor, int]]):
    """Each file opened when it is asked for; the second half mirrored."""

    def __init__(self, crops: tuple[Crop, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.paths = [crop.path for crop in crops]
        self.labels = labels_of(crops).tolist()
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)

    def __len__(self) -> int:
        return 2 * len(self.paths)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        index = row % len(self.paths)
        path = self.paths[index]
        if path is None:
            raise ValueError("the plain loop reads files")
        image = Image.open(path).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        pixels = (pixels - self.mean) / self.std
        return (pixels.flip(2) if row >= len(self.paths) else pixels), self.labels[index]


def plain_steps(crops: tuple[Crop, ...], network: str) -> Iterator[None]:
    """The loop that one would write first, a step at a time."""
    images = load_training_images(crops, HEIGHT, WIDTH)
    loader = DataLoader(PlainDataset(images.crops, images.mean, images.std), BATCH, shuffle=True, drop_last=True)
    model = with_plain_dropout(build_network(architecture(network), HEIGHT, WIDTH)).train()
    loss = CosineSoftmax(128, images.num_classes)
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], 1e-3)
    while True:
        for pictures, labels in loader:
            optimizer.zero_grad()
            value = loss(model(pictures), labels)
            value.backward()
            optimizer.step()
            value.item()
            yield


def our_steps(crops: tuple[Crop, ...], network: str, compiled: bool = False, bfloat16: bool = False) -> Iterator[None]:
    """The same through resight's parts, as resight.training.loop puts them together."""
    images = load_training_images(crops, HEIGHT, WIDTH)
    model = build_network(architecture(network), HEIGHT, WIDTH)
    preprocessing = Preprocessing(HEIGHT, WIDTH, images.mean, images.std)
    objective = Objective(model, JointLoss([(0, 128)], images.num_classes), preprocessing)
    objective = channels_last(objective, torch.device("cpu")).train()
    optimizer = torch.optim.AdamW(objective.parameters(), 1e-3, weight_decay=0.0, fused=True)
    if compiled:
        objective.compile()
    rng = np.random.default_rng(0)
    while True:
        order = rng.permutation(2 * len(images))
        batches = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
        for rows, pixels in zip(batches, images.batches(rows % len(images) for rows in batches), strict=True):
            pictures = flip_where(torch.from_numpy(pixels), torch.from_numpy(rows >= len(images)))
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                value = objective(pictures, torch.from_numpy(images.labels[rows % len(images)]))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            value.item()
            yield


def with_plain_dropout(model: nn.Module) -> nn.Module:
    """PyTorch's dropout in place of ours, as one would write it first."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
    return model


def architecture(network: str) -> Architecture:
    return Architecture(network, 128, 1 if network == "bignet" else 4)


def images_per_s(steps: Iterator[None], seconds: float) -> float:
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        next(steps)
        done += BATCH
    return done / (time.perf_counter() - began)


def matrix_gflops(seconds: float = 3.0) -> float:
    """Single-precision rate of a 2048 x 2048 product, in 1e9 operations a second."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        a @ b
        done += 1
    return done * 2 * 2048**3 / (time.perf_counter() - began) / 1e9


def gflop_per_image(network: str) -> float:
    """Of one forward and backward pass, in 1e9 operations, counted by PyTorch."""
    model: nn.Module = build_network(architecture(network), HEIGHT, WIDTH).train()
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(2, 3, HEIGHT, WIDTH)).sum().backward()
    return float(counter.get_total_flops()) / 2 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="bignet", choices=["bignet", "slicenet1", "slicenet2", "stripnet"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement; three rounds of each")
    parser.add_argument("--data", type=Path, help="a folder of crops; the synthetic city if not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data or Path(scratch)
        if options.data is None:
            save_city(draw_city(CityConfig(test_people=0)), folder)
        measure(read_folder(folder).train, options.network, options.seconds)


def measure(crops: tuple[Crop, ...], network: str, seconds: float) -> None:
    torch.manual_seed(0)
    kinds: dict[str, Callable[[], Iterator[None]]] = {
        "plain eager loop": lambda: plain_steps(crops, network),
        "resight, eager": lambda: our_steps(crops, network),
        "resight, compiled": lambda: our_steps(crops, network, compiled=True),
        "resight, bfloat16": lambda: our_steps(crops, network, bfloat16=True),
    }
    steps = {name: make() for name, make in kinds.items()}
    for name, iterator in steps.items():
        began = time.perf_counter()
        next(iterator)
        next(iterator)
        print(f"first two steps of {name}: {time.perf_counter() - began:.1f} s", flush=True)
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    rates = []
    for _ in range(ROUNDS):  # in turn, so that a machine that drifts drifts for all
        rates.append(matrix_gflops())
        for name, iterator in steps.items():
            speeds[name].append(images_per_s(iterator, seconds))
    gflop, rate = gflop_per_image(network), statistics.median(rates)
    plain = speeds["plain eager loop"]
    print(f"{network}, {len(crops)} pictures, batches of {BATCH}, {torch.get_num_threads()} threads")
    print(f"matrix rate {rate:.0f} GFLOP/s; {gflop:.2f} GFLOP an image, forward and backward")
    for name, values in speeds.items():
        speed = statistics.median(values)
        ratio = statistics.median(value / other for value, other in zip(values, plain, strict=True))
        spread = f"{min(values):.1f} to {max(values):.1f}"
        share = speed * gflop / rate
        print(f"{name:18} {speed:6.1f} images/s ({spread})  {ratio:.2f} x plain  {share:.0%} of the matrix rate")


if __name__ == "__main__":
    main()
