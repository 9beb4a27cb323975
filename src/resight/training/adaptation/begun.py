"""Whether an adaptation that was begun is the one that is asked for now, by its files, before a picture is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from resight.core.errors import ConfigError
from resight.data.crops import Crop
from resight.models.devices import choose_device
from resight.site.rounds import load_outcome
from resight.training.adaptation.settings import Adaptation
from resight.training.execution import mixed_precision
from resight.training.loop import TrainOptions
from resight.training.pretrained import weights_of
from resight.training.run import check_directory, differing, is_begun, read_config


def check_begun(
    run_dir: Path, source: Path, settings: Adaptation, seed: int, tracked: bool, options: TrainOptions
) -> None:
    """Raises ConfigError where the directory cannot be adapted into: it holds something else, a run that is not to be
    resumed, or an adaptation of another model or of other settings, finished or not. WeightsError where `source` is no
    model. No picture is looked at."""
    check_directory(run_dir, options.resume)
    if not is_begun(run_dir):
        return
    before = read_config(run_dir)
    if "adaptation" not in before:
        raise ConfigError(f"{run_dir} holds a training, and no adaptation; name another directory")
    asked = {"adaptation": settings.to_dict(), "seed": seed, "tracked": tracked, "source": weights_of(source)}
    if load_outcome(run_dir) is None:  # of a finished one nothing is computed any more, wherever it was
        device = choose_device(options.device)
        asked |= {"amp": mixed_precision(device, options.amp), "device": device.type}
    differ = differing(before, asked, called={"source": "model"})
    if differ:
        raise ConfigError(
            f"{run_dir} was begun with {', '.join(differ.values())}: what is there is no answer to what is asked now. "
            "Give what it was begun with, or name another directory"
        )


def check_pictures(run_dir: Path, name: str, crops: Sequence[Crop], tracked: bool) -> None:
    """Raises ConfigError where an adaptation was begun there with other pictures than these, as far as their list
    tells. An earlier version kept no list; then their number is looked at."""
    if not is_begun(run_dir):
        return
    before = read_config(run_dir)
    if "listing" in before:
        same = before["listing"] == listing_of(crops, tracked)
    else:
        same = before["num_images"] + before["copies"] + len(before["left_out"]) == len(crops)
    if not same:
        raise other_pictures(run_dir, name, len(crops))


def other_pictures(run_dir: Path, name: str, number: int) -> ConfigError:
    """The error that says so. number: of the pictures that are given now."""
    return ConfigError(
        f"{run_dir} was begun with other pictures than {name} has now ({number:,}), or with other cameras, tracks or "
        f"times of theirs; it was {read_config(run_dir)['data']}. Give those, or name another directory"
    )


def listing_of(crops: Sequence[Crop], tracked: bool) -> str:
    """A fingerprint of what is known of the pictures without reading them, but for who is in them."""
    digest = hashlib.blake2b(digest_size=16)
    for crop in crops:
        facts = (crop.name, crop.camid, crop.camera, crop.time, crop.track if tracked else None)
        digest.update(repr(facts).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
