"""OSNet, Bag of Tricks and fast-reid: told by the names of their layers."""

from __future__ import annotations

from typing import Any

from resight.core.errors import WeightsError
from resight.core.pictures.preprocessing import IMAGENET, Preprocessing
from resight.models.foreign.kind import (
    SIZE,
    UNUSED_CLASSIFIERS,
    Converted,
    Kind,
    Options,
    Rule,
    Tensors,
    form_options,
    imagenet,
    neck_option,
    size_of,
    tensor_of,
)
from resight.models.network import Architecture
from resight.models.networks.neckednet import CHANNELS
from resight.models.networks.osnet import DIM, WIDTHS

IBN_KEY = "layer1.0.bn1.IN.weight"


def is_osnet(tensors: Tensors) -> bool:
    """Whether there are the streams of its first block."""
    return "conv2.0.conv2a.conv1.weight" in tensors or "conv2.0.conv2.0.layers.0.conv1.weight" in tensors


def convert_osnet(tensors: Tensors, options: Options) -> Converted:
    """torchreid's OSNet, OSNet-IBN and OSNet-AIN in four widths."""
    channels = tensor_of(tensors, "conv1.conv.weight", 4).shape[0], tensor_of(tensors, "conv5.conv.weight", 4).shape[0]
    sizes = [size for size, widths in WIDTHS.items() if (widths[0], widths[-1]) == channels]
    if not sizes:
        raise WeightsError(f"no OSNet has {channels[0]} channels at first and {channels[1]} at last")
    if "conv2.0.conv2a.conv1.weight" not in tensors:
        variant = "ain"
    else:
        variant = "ibn" if "conv2.0.IN.weight" in tensors else "plain"
    form = {"size": sizes[0], "variant": variant, **form_options(options)}
    return Converted(
        Architecture("osnet", DIM, options=form),
        imagenet(*size_of(options, 256, 128)),
        [UNUSED_CLASSIFIERS, (r"((conv|pool|fc).*)", r"\1")],
    )


def convert_bot(tensors: Tensors, options: Options) -> Converted:
    """reid-strong-baseline's ResNet-50: plain (without a ReLU in the stem), with IBN-a, or with squeeze-excitation."""
    se = "base.layer0.conv1.weight" in tensors
    ibn = f"base.{IBN_KEY}" in tensors
    form: dict[str, Any] = {"ibn": ibn, "se": se, "stem_relu": se or ibn, "ceil_pool": se}
    form |= {"neck": neck_option(options, "after"), **form_options(options)}
    rules: list[Rule] = [
        UNUSED_CLASSIFIERS,
        (r"base\.fc\..*", None),
        (r"base\.layer0\.(.*)", r"base.\1"),
        (r"(base\..*)", r"\1"),
        (r"(bottleneck\..*)", r"\1" if form["neck"] == "after" else None),
    ]
    return Converted(
        Architecture("neckednet", CHANNELS, options=form), imagenet(*size_of(options, 256, 128)), rules,
        assumed={"stem_relu": form["stem_relu"]},
    )  # fmt: skip


def convert_fast_reid(tensors: Tensors, options: Options) -> Converted:
    """fast-reid's BoT and SBS on a ResNet-50, of v0.1.1 (told by `heads.bnneck`) and of later."""
    old, new = ("heads.bnneck.weight" in tensors, "heads.bottleneck.0.weight" in tensors)
    mixed = new and any(name.startswith("heads.bnneck.") for name in tensors)
    if mixed and "ceil_pool" not in options:
        raise WeightsError(
            "it holds heads.bottleneck and heads.bnneck, as files of autumn 2020 do, which do not tell their pooling. "
            "Say --option ceil_pool=false (before 6 November 2020) or --option ceil_pool=true."
        )
    sbs = "heads.pool_layer.p" in tensors
    form: dict[str, Any] = {
        "ibn": f"backbone.{IBN_KEY}" in tensors,
        "ceil_pool": not old,
        "non_local": any(name.startswith("backbone.NL_") for name in tensors),
        "gem": sbs,
        "neck": neck_option(options, "after"),
        **form_options(options),
    }
    after = form["neck"] == "after"
    rules: list[Rule] = [
        (r"heads\.(classifier\.)?weight", None),
        (r"pixel_(mean|std)", None),
        (r"heads\.pool_layer\.p", "pool.p"),
        (r"backbone\.(.*)", r"base.\1"),
        *([(r"heads\.bnneck\..*", None)] if mixed else []),  # left over beside the later name
        (r"heads\.(?:bnneck|bottleneck\.0)\.(.*)", r"bottleneck.\1" if after else None),
    ]
    height, width = size_of(options, 384 if sbs else 256, 128)
    return Converted(
        Architecture("neckednet", CHANNELS, options=form),
        Preprocessing(height, width, *_pixels(tensors), "bicubic-antialias"),
        rules,
        frozenset(["pool.p"]),
        {"ceil_pool": form["ceil_pool"]},
    )


def _pixels(tensors: Tensors) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation in [0, 1]: of the file, where it says them of 0 to 255; ImageNet's else."""
    if "pixel_mean" not in tensors:
        return IMAGENET
    mean, std = (tensors[name].flatten().tolist() if name in tensors else [] for name in ("pixel_mean", "pixel_std"))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise WeightsError("pixel_mean and pixel_std are three numbers each, the deviations above 0")
    return (mean[0] / 255, mean[1] / 255, mean[2] / 255), (std[0] / 255, std[1] / 255, std[2] / 255)


KINDS = (
    Kind("osnet", is_osnet, convert_osnet, SIZE),
    Kind(
        "bot",
        lambda names: "base.conv1.weight" in names or "base.layer0.conv1.weight" in names,
        convert_bot,
        ("stem_relu", "ceil_pool", "neck", *SIZE),
    ),
    Kind(
        "fast-reid",
        lambda names: "backbone.conv1.weight" in names and any(name.startswith("heads.") for name in names),
        convert_fast_reid,
        ("ceil_pool", "neck", *SIZE),
        ("heads.classifier.weight", "heads.weight"),
    ),
)
