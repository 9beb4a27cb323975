"""TransReID, LA-Transformer and CLIP-ReID's vision transformer: their sizes are told by the table of positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resight.core.errors import WeightsError
from resight.core.pictures.preprocessing import Preprocessing
from resight.models.foreign.kind import (
    HALF,
    SIZE,
    UNUSED_CLASSIFIERS,
    Converted,
    Kind,
    Options,
    Rule,
    Tensors,
    count_blocks,
    form_options,
    imagenet,
    neck_option,
    size_of,
    tensor_of,
)
from resight.models.network import Architecture

PATCH = 16
SIZES = ((256, 128), (384, 128), (256, 256), (224, 224))
STRIDES = (16, 14, 12, 11)
# Heads by width and depth: no file holds them.
HEADS = {(768, 12): 12, (384, 12): 6, (768, 8): 8, (192, 12): 3}
PERSONS_SHIFT, SIDE_WEIGHT, CLIP_SIDE_WEIGHT, LOCAL_WEIGHT, ROWS = 5, 3.0, 1.0, 8.0, 14
CLIP_HEAD_WIDTH = 64


def told_size(positions: int, patch: int, options: Options) -> tuple[int, int, int]:
    """(height, width, stride) whose table has so many rows, the class token's among them; the options decide where
    they are given. Raises WeightsError where none has, or the options' has not."""

    def rows(height: int, width: int, stride: int) -> int:
        return 1 + ((height - patch) // stride + 1) * ((width - patch) // stride + 1)

    if {"height", "width", "stride"} <= set(options):
        height, width, stride = (int(options[name]) for name in ("height", "width", "stride"))
        if stride < 1 or rows(height, width, stride) != positions:
            raise WeightsError(
                f"the table of positions has {positions} rows, and {height} x {width} at stride {stride} has not"
            )
        return height, width, stride
    fits = [
        (*size, stride)
        for size in SIZES
        for stride in STRIDES
        if rows(*size, stride) == positions
        and all(options.get(name, value) == value for name, value in zip(("height", "width"), size, strict=True))
        and options.get("stride", stride) == stride
    ]
    if not fits:
        raise WeightsError(
            f"no known size and stride has a table of {positions} positions. Say --option height=H, --option width=W "
            "and --option stride=S."
        )
    return fits[0]


def told_heads(width: int, depth: int, options: Options) -> int:
    """By the published sizes. Raises WeightsError for others, where the options do not say."""
    if "heads" in options:
        return int(options["heads"])
    if (width, depth) not in HEADS:
        raise WeightsError(f"how many heads {depth} blocks of width {width} have is not known. Say --option heads=N.")
    return HEADS[width, depth]


def told_form(tensors: Tensors, prefix: str, positions: int, options: Options) -> dict[str, Any]:
    """Of the names that timm has: the form of our transformer, height and width beside it."""
    kernel = tensor_of(tensors, f"{prefix}patch_embed.proj.weight", 4)
    width, patch = kernel.shape[0], kernel.shape[2]
    depth = count_blocks(tensors, f"{prefix}blocks.")
    height, image_width, stride = told_size(positions, patch, options)
    biased = f"{prefix}blocks.0.attn.qkv.bias" in tensors
    return {
        "height": height,
        "image_width": image_width,
        "width": width,
        "depth": depth,
        "heads": told_heads(width, depth, options),
        "mlp": tensor_of(tensors, f"{prefix}blocks.0.mlp.fc1.weight", 2).shape[0] / width,
        "qkv_bias": biased,
        # The one published form without a bias scales by its whole width.
        "scale": 0.0 if biased else width**-0.5,
        "patch": patch,
        "stride": stride,
    }


def convert_transreid(tensors: Tensors, options: Options) -> Converted:
    """TransReID's own files, with or without parts and side information."""
    table = tensor_of(tensors, "base.pos_embed", 3)
    form = told_form(tensors, "base.", table.shape[1], options)
    height, width = form.pop("height"), form.pop("image_width")
    jigsaw = any(name.startswith("b1.") for name in tensors)
    form |= {"jigsaw": jigsaw, "neck": neck_option(options, "before")}
    assumed: dict[str, Any] = {"heads": form["heads"]}
    if jigsaw:
        assumed |= {"shift": PERSONS_SHIFT, "groups": 2, "rearrange": True}
    if "base.sie_embed" in tensors:
        rows = tensor_of(tensors, "base.sie_embed", 3).shape[0]
        cameras = rows // max(1, int(options.get("views", 0)))
        assumed |= {"cameras": cameras, "side_weight": SIDE_WEIGHT, "unseen": "mean"}
    assumed = {name: options.get(name, value) for name, value in assumed.items()}
    form = {**form, **assumed, **form_options(options)}
    last = form["depth"] - 1
    unused: list[Rule] = [(r"base\.fc\..*", None), UNUSED_CLASSIFIERS]
    if jigsaw:
        unused += [(rf"base\.blocks\.{last}\..*", None), (r"base\.norm\..*", None)]
    necks: list[Rule] = [(r"bottleneck(_\d)?\..*", None)]
    if form["neck"] == "after":
        necks = [(r"bottleneck\.(\w+)", r"necks.0.\1"), (r"bottleneck_(\d)\.(\w+)", r"necks.\1.\2")]
    rules = [*unused, *necks, (r"base\.sie_embed", "side"), (r"((base|b1|b2)\..*)", r"\1")]
    dim = form["width"] * (5 if jigsaw else 1)
    return Converted(
        Architecture("transreid", dim, options=form),
        Preprocessing(height, width, HALF, HALF),
        rules,
        frozenset(["side"]),
        assumed,
    )


def convert_la(tensors: Tensors, options: Options) -> Converted:
    """LA-Transformer's files: the tied copies of two tensors and all classifiers are left out."""
    table = tensor_of(tensors, "model.pos_embed", 3)
    form = told_form(tensors, "model.", table.shape[1], options)
    height, width = form.pop("height"), form.pop("image_width")
    assumed: dict[str, Any] = {"heads": form["heads"], "rows": ROWS, "local_weight": LOCAL_WEIGHT}
    assumed = {name: options.get(name, value) for name, value in assumed.items()}
    form = {**form, **assumed, **form_options(options)}
    rules: list[Rule] = [
        (r"(cls_token|pos_embed)", None),
        (r"model\.head\..*", None),
        (r"classifier\d+\..*", None),
        (r"model\.(.*)", r"base.\1"),
    ]
    rows = int(form["rows"])
    return Converted(
        Architecture("la-transformer", rows * form["width"], rows, options=form),
        imagenet(height, width, "bicubic-antialias"),
        rules,
        assumed=assumed,
    )


CLIP_BLOCK = {
    r"attn\.in_proj_(weight|bias)": r"attn.qkv.\1",
    r"attn\.out_proj\.(weight|bias)": r"attn.proj.\1",
    r"ln_([12])\.(weight|bias)": r"norm\1.\2",
    r"mlp\.c_fc\.(weight|bias)": r"mlp.fc1.\1",
    r"mlp\.c_proj\.(weight|bias)": r"mlp.fc2.\1",
}
CLIP_UNUSED: tuple[Rule, ...] = ((r"(text_encoder|prompt_learner)\..*", None), UNUSED_CLASSIFIERS)
CLIP_NECKS: Mapping[str, Rule] = {
    "before": (r"bottleneck(_proj)?\..*", None),
    "after": (r"(bottleneck(_proj)?\..*)", r"\1"),
}


def convert_clip_vit(tensors: Tensors, options: Options) -> Converted:
    """CLIP-ReID's image encoder, a ViT-B/16, with or without side information."""
    encoder = "image_encoder."
    kernel = tensor_of(tensors, f"{encoder}conv1.weight", 4)
    table = tensor_of(tensors, f"{encoder}positional_embedding", 2)
    width, patch = kernel.shape[0], kernel.shape[2]
    height, image_width, stride = told_size(table.shape[0], patch, options)
    assumed: dict[str, Any] = {"heads": max(1, width // CLIP_HEAD_WIDTH)}
    if "cv_embed" in tensors:
        cameras = tensor_of(tensors, "cv_embed", 2).shape[0]
        assumed |= {"cameras": cameras, "side_weight": CLIP_SIDE_WEIGHT, "unseen": "mean"}
    assumed = {name: options.get(name, value) for name, value in assumed.items()}
    block = f"{encoder}transformer.resblocks."
    form = {
        "width": width,
        "depth": count_blocks(tensors, block),
        "mlp": tensor_of(tensors, f"{block}0.mlp.c_fc.weight", 2).shape[0] / width,
        "patch": patch,
        "stride": stride,
        "eps": 1e-5,
        "projection": tensor_of(tensors, f"{encoder}proj", 2).shape[1],
        "neck": neck_option(options, "before"),
        **assumed,
        **form_options(options),
    }
    rules: list[Rule] = [
        *CLIP_UNUSED,
        CLIP_NECKS[form["neck"]],
        (r"cv_embed", "side"),
        (r"image_encoder\.class_embedding", "base.cls_token"),
        (r"image_encoder\.positional_embedding", "base.pos_embed"),
        (r"image_encoder\.proj", "proj"),
        (r"image_encoder\.conv1\.weight", "base.patch_embed.proj.weight"),
        (r"image_encoder\.ln_pre\.(weight|bias)", r"base.norm_pre.\1"),
        (r"image_encoder\.ln_post\.(weight|bias)", r"base.norm.\1"),
    ]
    for pattern, ours in CLIP_BLOCK.items():
        shifted = ours.replace(r"\2", r"\3").replace(r"\1", r"\2")
        rules.append((rf"image_encoder\.transformer\.resblocks\.(\d+)\.{pattern}", rf"base.blocks.\1.{shifted}"))
    return Converted(
        Architecture("clip-vit", width + form["projection"], options=form),
        Preprocessing(height, image_width, HALF, HALF),
        rules,
        frozenset(["base.cls_token", "base.pos_embed"]),
        assumed,
    )


def convert_clip_resnet(tensors: Tensors, options: Options) -> Converted:
    """CLIP-ReID's image encoder, an RN50."""
    height, width = size_of(options, 256, 128)
    form = {"neck": neck_option(options, "before"), **form_options(options)}
    return Converted(
        Architecture("clip-resnet", 3072, options=form),
        imagenet(height, width),
        [*CLIP_UNUSED, CLIP_NECKS[form["neck"]], (r"image_encoder\.(.*)", r"\1")],
    )


OF_VIT = ("heads", "stride", *SIZE)
OF_SIDE = ("cameras", "side_weight", "unseen")
KINDS = (
    Kind(
        "transreid",
        lambda names: "base.pos_embed" in names,
        convert_transreid,
        ("neck", "shift", "groups", "rearrange", *OF_SIDE, "views", *OF_VIT),
    ),
    Kind(
        "la-transformer",
        lambda names: "model.pos_embed" in names,
        convert_la,
        ("rows", "local_weight", *OF_VIT),
        ("classifier0.classifier.0.weight",),
    ),
    Kind(
        "clip-vit",
        lambda names: "image_encoder.class_embedding" in names,
        convert_clip_vit,
        ("neck", *OF_SIDE, *OF_VIT),
    ),
    Kind(
        "clip-resnet",
        lambda names: "image_encoder.attnpool.positional_embedding" in names,
        convert_clip_resnet,
        ("neck", *SIZE),
    ),
)
