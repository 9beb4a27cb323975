"""Whether what is declared of a network's input can be true: it is fed crops of known people in every usual way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from resight.core.errors import DataError
from resight.core.pictures.preprocessing import CHANNEL_ORDERS, IMAGENET
from resight.core.progress import Progress, silent
from resight.core.records import DISTRACTOR_PID, EmbeddedCrops, FloatArray
from resight.data.crops import Crop, Dataset, camids_of, pids_of
from resight.data.decoding import DecodedCrops, decode_crops
from resight.embedding.bundle import Bundle
from resight.embedding.loading import of_bundle
from resight.evaluation.compare import paired_difference
from resight.evaluation.evaluate import Evaluation, evaluate

PROBED_PEOPLE, PROBED_CROPS_EACH = 60, 6
HALF = 0.5
CENTRED = f"as declared, --image-centring {HALF}"
# The scales that networks are fed by: (mean, std) in units of [0, 1].
SCALES = {
    "0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "ImageNet's mean and std": IMAGENET,
}


@dataclass(frozen=True)
class Trial:
    """One way to feed the network, and how well it then tells people apart (mAP, Market-1501's protocol)."""

    scale: str
    channel_order: str
    mean_ap: float
    declared: bool


@dataclass(frozen=True)
class Probe:
    """trials: the best first. warnings: where the best is better than what is declared by more than chance."""

    trials: tuple[Trial, ...]
    warnings: tuple[str, ...]
    num_crops: int
    num_people: int


def probe_preprocessing(bundle: Bundle, dataset: Dataset, *, progress: Progress = silent) -> Probe:
    """Feeds the network crops of known people in every usual scale and both channel orders.

    Raises DataError where fewer than five people are seen by two cameras.
    """
    declared = bundle.manifest.preprocessing
    decoded = decode_crops(_chosen(dataset), declared.height, declared.width, resize=declared.resize)
    ways = {("as declared", order): replace(declared, channel_order=order) for order in CHANNEL_ORDERS}
    for scale, (mean, std) in SCALES.items():
        if not np.allclose((mean, std), (declared.mean, declared.std), rtol=0.02):
            fed = replace(declared, mean=_three(mean), std=_three(std))
            ways |= {(scale, order): replace(fed, channel_order=order) for order in CHANNEL_ORDERS}
    if not declared.image_centring:
        ways[CENTRED, declared.channel_order] = replace(declared, image_centring=HALF)
    found: dict[tuple[str, str], Evaluation] = {}
    model = of_bundle(bundle)
    with progress("probing", len(ways)) as advance:
        for way, tried in ways.items():
            found[way] = _score(model.embed_pixels(decoded.pixels, preprocessing=tried), decoded)
            advance(1)
    own = found["as declared", declared.channel_order]
    people = pids_of(decoded.crops)[own.query_index]
    warnings = []
    (scale, order), other = max(found.items(), key=lambda way: way[1].mean_ap)
    if other is not own:
        interval = paired_difference(own.ap, other.ap, people).interval
        if interval.low > 0:
            warnings.append(
                f"{scale}, {order}: fed so, the network tells people apart better than as it is declared: mAP "
                f"{other.mean_ap:.3f} and {own.mean_ap:.3f}, difference [{interval.low:+.3f}, {interval.high:+.3f}]"
            )
    trials = [
        Trial(scale, order, result.mean_ap, (scale, order) == ("as declared", declared.channel_order))
        for (scale, order), result in found.items()
    ]
    trials.sort(key=lambda trial: -trial.mean_ap)
    return Probe(tuple(trials), tuple(warnings), len(decoded.crops), len(np.unique(people)))


def _chosen(dataset: Dataset) -> list[Crop]:
    """Some crops of some people, by two cameras each at the least; of the test part, where there are enough."""
    for crops in ((*dataset.query, *dataset.gallery), dataset.train):
        by_person: dict[int, list[Crop]] = {}
        for crop in crops:
            if crop.pid > DISTRACTOR_PID:
                by_person.setdefault(crop.pid, []).append(crop)
        seen = [own for own in by_person.values() if len({crop.camid for crop in own}) > 1]
        if len(seen) >= 5:
            return [crop for own in seen[:PROBED_PEOPLE] for crop in _spread(own)]
    raise DataError(f"{dataset.name}: the probe takes five people at the least whom two cameras saw")


def _spread(own: Sequence[Crop]) -> list[Crop]:
    ordered = sorted(own, key=lambda crop: (crop.camid, crop.name))
    step = max(1, len(ordered) // PROBED_CROPS_EACH)
    return ordered[::step][:PROBED_CROPS_EACH]


def _score(embeddings: FloatArray, decoded: DecodedCrops) -> Evaluation:
    crops = decoded.crops
    names = tuple(crop.name for crop in crops)
    embedded = EmbeddedCrops(embeddings, pids_of(crops), camids_of(crops), decoded.content_hashes, names)
    return evaluate(embedded, embedded, "market1501")


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    return values[0], values[1], values[2]
