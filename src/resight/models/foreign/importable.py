"""What can be imported: whence a user gets it, what its makers print, and its rights. Facts only; nothing is fetched.

The figures are their makers', each under its own protocol; only those of one protocol and one data set compare.
"""

from __future__ import annotations

from dataclasses import dataclass

USUAL = "Market-1501's protocol"
TOLD = "Market-1501's protocol, each picture's camera told"


@dataclass(frozen=True)
class Importable:
    """kind: as `resight import --model` takes it. files: what a user has. source: the project that offers them. data,
    mean_ap, rank1, protocol: of the figure that its makers print, fractions in [0, 1]; None where none is known here.
    code, rights: the licence of the code, and what is said of the weights."""

    kind: str
    networks: str
    files: str
    source: str
    data: str
    mean_ap: float | None
    rank1: float | None
    protocol: str
    code: str
    rights: str = "not stated"


IMPORTABLE: tuple[Importable, ...] = (
    Importable(
        "transreid",
        "TransReID: ViT-base and DeiT-small, plain, stride 12, side information, jigsaw",
        "transformer_120.pth",
        "github.com/damo-cv/TransReID",
        "Market-1501",
        0.890,
        0.951,
        TOLD,
        "MIT",
    ),
    Importable(
        "la-transformer",
        "LA-Transformer: ViT-base, 14 rows",
        "net_best.pth",
        "github.com/SiddhantKapil/LA-Transformer",
        "Market-1501",
        0.928,
        0.983,
        "top10: own camera kept, mAP of the first ten",
        "MIT",
    ),
    Importable(
        "clip-vit",
        "CLIP-ReID: ViT-B/16, with and without side information",
        "ViT-B-16_60.pth",
        "github.com/Syliz517/CLIP-ReID",
        "",
        None,
        None,
        "",
        "MIT",
        "not stated; CLIP's model card leaves surveillance out",
    ),
    Importable(
        "clip-resnet",
        "CLIP-ReID: RN50",
        "RN50_120.pth",
        "github.com/Syliz517/CLIP-ReID",
        "",
        None,
        None,
        "",
        "MIT",
        "not stated; CLIP's model card leaves surveillance out",
    ),
    Importable(
        "osnet",
        "OSNet, OSNet-IBN, OSNet-AIN, x0_25 to x1_0",
        "*.pth, model.pth.tar-60",
        "github.com/KaiyangZhou/deep-person-reid",
        "Market-1501",
        0.826,
        0.942,
        f"{USUAL}, x1_0, Euclidean",
        "MIT",
        "research only, says its author",
    ),
    Importable(
        "bot",
        "Bag of Tricks: ResNet-50, IBN-a, SE",
        "*_model_120.pth, whole pickled networks too",
        "github.com/michuanhaohao/reid-strong-baseline",
        "Market-1501",
        0.859,
        0.945,
        f"{USUAL}, ResNet-50",
        "MIT",
    ),
    Importable(
        "fast-reid",
        "BoT and SBS with ResNet-50 and IBN, of v0.1.1 and later",
        "*.pth",
        "github.com/JDAI-CV/fast-reid",
        "Market-1501",
        0.893,
        0.957,
        f"{USUAL}, SBS R50-ibn",
        "Apache 2.0",
    ),
    Importable(
        "slicenet2",
        "BigNet, SliceNet1 and SliceNet2 of the reference paper",
        "slicenet2.pth",
        "the paper's authors",
        "PKU-Reid, 12 people",
        0.953,
        0.964,
        "top10",
        "not stated",
    ),
)
