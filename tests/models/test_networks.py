"""The networks layer by layer, and the arithmetic that the paper's weights were trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from resight.core.errors import ConfigError, WeightsError
from resight.core.pictures.preprocessing import MAX_SIDE_PX
from resight.models.catalogue import NETWORKS, Architecture, build_network, embedding_parts, trained_parts
from resight.models.networks.bignet import BigNet, Residual, Trunk, pad_bottom_right
from resight.models.networks.slicenet import SliceNet1, SliceNet2
from resight.models.networks.stripnet import StripNet
from resight.models.pooling import POOLINGS, GeneralisedMean
from resight.models.strips import STRIPS
from resight.training.pretrained import load_pretrained

OPTIONS: dict[str, dict[str, Any]] = {
    "transreid": {"width": 128, "depth": 2, "heads": 4},
    "la-transformer": {"width": 32, "depth": 2, "heads": 4, "rows": 4},
    "clip-vit": {"width": 96, "depth": 2, "heads": 4, "projection": 32},
    "osnet": {"size": "x0_25"},
}
DIMS = {"clip-resnet": 3072, "neckednet": 2048, "osnet": 512}  # of networks with one size of embedding
HEAVY = ("clip-resnet", "neckednet")
SIZES = [(64, 32), (128, 48), (64, 16), (192, 64)]


def test_the_table_of_layers() -> None:
    trunk = Trunk().eval()
    shapes: dict[str, tuple[int, ...]] = {}
    for name, child in trunk.named_children():
        child.register_forward_hook(
            lambda _module, _inputs, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:]))
        )
    trunk(torch.zeros(1, 3, 128, 48))
    assert shapes == {
        "conv1": (32, 128, 48),
        "conv2": (32, 128, 48),
        "residual4": (32, 64, 24),
        "residual5": (32, 64, 24),
        "residual6": (64, 32, 12),
        "residual7": (64, 32, 12),
        "residual8": (128, 16, 6),
        "residual9": (128, 16, 6),
    }
    assert isinstance(trunk.residual4.pre, nn.Identity)
    assert isinstance(trunk.residual5.pre, nn.Sequential)


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in NETWORKS for size in (SIZES[:1] if name in HEAVY else SIZES)],
)
@pytest.mark.parametrize("training", [True, False])
def test_embeddings_are_of_unit_length_in_every_mode(name: str, size: tuple[int, int], training: bool) -> None:
    torch.manual_seed(0)
    slices = 4 if NETWORKS[name].slices_images else 1
    dim = DIMS.get(name, 128)
    network = build_network(Architecture(name, dim, slices, options=OPTIONS.get(name, {})), *size).train(training)
    out = network(torch.randn(3, 3, *size))
    assert out.shape == (3, dim)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    ("architecture", "size", "message"),
    [
        (Architecture("bignet"), (100, 48), "height must be a multiple of 8.*96 x 48"),
        (Architecture("bignet"), (128, 50), "width of 8"),
        (Architecture("slicenet2", 128, 3), (128, 48), "127|does not divide"),
        (Architecture("slicenet1", 129, 3), (128, 48), "multiple of 24.*120 x 48"),
        (Architecture("slicenet2", 128, 4), (24, 8), "multiple of 32.*32 x 8"),
        (Architecture("bignet", 128, 4), (128, 48), "does not slice"),
        (Architecture("stripnet", 15, 5), (160, 48), "15 does not divide"),  # a half is no whole number
        (Architecture("bignet"), (MAX_SIDE_PX + 8, 48), f"larger than {MAX_SIDE_PX}"),
        (Architecture("resnet"), (128, 48), "Known: " + ", ".join(sorted(NETWORKS))),
    ],
)
def test_sizes_that_do_not_work_say_which_do(architecture: Architecture, size: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network(architecture, *size)


def test_strided_convolutions_pad_at_the_bottom_and_right_only() -> None:
    block = Residual(2, 3).eval()
    x = torch.randn(1, 2, 6, 4)
    y = functional.elu(functional.batch_norm(x, torch.zeros(2), torch.ones(2)))
    conv = block.conv1[0]
    assert isinstance(conv, nn.Conv2d)
    got = conv(pad_bottom_right(y))
    by_hand = np.zeros((3, 3, 2), np.float32)
    padded = np.zeros((2, 7, 5), np.float32)
    padded[:, :6, :4] = y[0].detach().numpy()
    weight = conv.weight.detach().numpy()
    bias = conv.bias.detach().numpy() if conv.bias is not None else np.zeros(3)
    for channel in range(3):
        for row in range(3):
            for column in range(2):
                window = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
                by_hand[channel, row, column] = (window * weight[channel]).sum() + bias[channel]
    np.testing.assert_allclose(got[0].detach().numpy(), by_hand, atol=1e-5)
    expected = block.project(x) + block.conv2(functional.elu(block.conv1[1](got)))
    torch.testing.assert_close(block(x), expected)


def test_the_max_pool_pads_zeros() -> None:
    trunk = Trunk().eval()
    seen: list[torch.Tensor] = []
    trunk.residual4.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    trunk.conv2.register_forward_hook(lambda _module, _inputs, out: torch.full_like(out, -0.5))
    trunk(torch.zeros(1, 3, 16, 8))
    assert seen[0].shape == (1, 32, 8, 4)
    assert (seen[0][..., :-1, :-1] == -0.5).all()
    assert (seen[0][..., -1, :] == 0).all()
    assert (seen[0][..., :, -1] == 0).all()


def test_a_strip_of_slicenet1_depends_on_its_strip_only() -> None:
    network = SliceNet1(64, 16, 32, 4).eval()
    images = torch.randn(2, 3, 64, 16)
    changed = images.clone()
    changed[:, :, 16:32] += 1
    parts, other = network(images).view(2, 4, 8), network(changed).view(2, 4, 8)
    same = torch.isclose(parts, other).all(dim=2).all(dim=0).tolist()
    assert same == [True, False, True, True]
    torch.testing.assert_close(parts.norm(dim=2), torch.full((2, 4), 0.5))  # unit strips over sqrt(4)
    torch.testing.assert_close(parts[:, 2] * 2, network.bignet(images[:, :, 32:48]))


def test_slicenet2_shares_one_dense_layer() -> None:
    network = SliceNet2(64, 16, 32, 4).eval()
    images = torch.randn(2, 3, 64, 16)
    features = network.trunk(images)  # (2, 128, 8, 2)
    parts = torch.cat([network.dense10(features[:, :, 2 * k : 2 * k + 2]) for k in range(4)], dim=1)
    torch.testing.assert_close(network(images), functional.normalize(parts, dim=1))


def test_the_counts_of_parameters() -> None:
    # The paper's own files hold as many: SliceNet1 and SliceNet2 differ in where they slice, not in size.
    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert count(SliceNet1(128, 48)) == count(SliceNet2(128, 48)) == 803_520
    assert count(BigNet(128, 48)) - count(SliceNet2(128, 48)) == (12288 * 128 + 3 * 128) - (3072 * 32 + 3 * 32)


def test_stripnet_is_a_global_half_and_strips() -> None:
    torch.manual_seed(0)
    network = build_network(Architecture("stripnet", 64, 4), 64, 32).eval()
    images = torch.randn(2, 3, 64, 32)
    out = network(images)
    torch.testing.assert_close(out[:, :32].norm(dim=1), torch.full((2,), 0.5**0.5))
    assert trained_parts(Architecture("stripnet", 64, 4)) == ((0, 32), (32, 64))
    parts = embedding_parts(Architecture("stripnet", 64, 4))
    assert parts[0] == ("whole", 0, 32)
    assert [part[1:] for part in parts[1:]] == [(32, 40), (40, 48), (48, 56), (56, 64)]
    # Weights serve any size: progressive training rests on it.
    assert network(torch.randn(2, 3, 128, 64)).shape == (2, 64)


def test_stripnet_is_small() -> None:
    for dim, parameters in ((256, 1_989_088), (512, 2_038_752)):
        network = build_network(Architecture("stripnet", dim, 4), 128, 64)
        assert sum(p.numel() for p in network.parameters()) == parameters
        slow = (nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.PReLU)
        assert not any(isinstance(module, slow) for module in network.modules())


def test_cosinenet_is_as_published() -> None:
    network = build_network(Architecture("cosinenet", 128), 128, 64)
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in trained.values()) == 2_800_864
    weights = [p for p in trained.values() if p.dim() > 1]
    assert max(p.abs().max().item() for p in weights) <= 2e-3
    assert torch.cat([p.flatten() for p in weights]).std().item() == pytest.approx(0.88e-3, rel=0.05)  # cut at 2 sd
    assert all(p.abs().max() == 0 for p in trained.values() if p.dim() == 1)


def test_cosinenet_pools_beyond_the_edge_by_nothing() -> None:
    trunk = build_network(Architecture("cosinenet", 128), 32, 16).trunk
    assert isinstance(trunk, Trunk)
    seen: list[torch.Tensor] = []
    trunk.residual4.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    trunk.eval()(torch.randn(2, 3, 32, 16))
    assert torch.isfinite(seen[0]).all()
    assert seen[0][:, :, -1].min() < 0  # zeros would have covered ELU's negative outputs


def test_poolings_by_hand() -> None:
    x = torch.tensor([[[[1.0, 3.0], [2.0, 2.0]]]])
    found = {name: make()(x).item() for name, make in POOLINGS.items()}
    assert found == pytest.approx({"avg": 2.0, "max": 3.0, "avg-max": 5.0, "gem": (44 / 4) ** (1 / 3)})
    network = build_network(Architecture("stripnet", 64, 4, "gem"), 64, 32)
    network(torch.randn(2, 3, 64, 32)).sum().backward()
    assert isinstance(network.pool, GeneralisedMean)
    assert network.pool.p.grad is not None
    with pytest.raises(ConfigError, match="Known: avg, avg-max, gem, max"):
        build_network(Architecture("stripnet", 64, 4, "median"), 64, 32)


@pytest.mark.parametrize("strips", STRIPS)
def test_what_a_strip_is_cut_from_and_which_layer_it_passes(strips: str) -> None:
    torch.manual_seed(0)
    network = build_network(Architecture("stripnet", 64, 4, strips=strips), 64, 32).eval()
    assert isinstance(network, StripNet)
    assert len(network.strip_dense) == (1 if strips == "shared" else 4)
    images = torch.randn(2, 3, 64, 32)
    maps = network.features(images).chunk(4, dim=2)
    if strips == "image":
        maps = tuple(network.features(images[:, :, top : top + 16]) for top in range(0, 64, 16))
    layers = list(network.strip_dense) * (4 if strips == "shared" else 1)
    parts = [layer(network.pool(part)) for layer, part in zip(layers, maps, strict=True)]
    expected = functional.normalize(torch.cat(parts, dim=1), dim=1) / 2**0.5
    torch.testing.assert_close(network(images)[:, 32:], expected)


def test_strips_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="Known: image, own, shared"):
        build_network(Architecture("stripnet", 64, 4, strips="vertical"), 64, 32)


def test_resnet50_has_the_usual_names_and_takes_their_weights(tmp_path: Path) -> None:
    network = build_network(Architecture("resnet50", 64, 4), 128, 64)
    names = {n: t for n, t in network.state_dict().items() if not n.startswith(("global_dense", "strip_dense"))}
    # As the usual files have them: 53 convolutions, 53 normalisations of five tensors.
    assert len(names) == 53 + 53 * 5
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.1.bias", "layer4.2.conv3.weight"} <= set(names)
    assert sum(t.numel() for n, t in names.items() if n.split(".")[-1] in ("weight", "bias")) == 23_508_032
    theirs = {name: torch.rand(tensor.shape).to(tensor.dtype) for name, tensor in names.items()}
    torch.save({**theirs, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, tmp_path / "w.pth")
    branch = network.state_dict()["global_dense.0.weight"].clone()
    assert load_pretrained(network, tmp_path / "w.pth", pytest.fail).origin.rights == "not stated by w.pth"
    assert torch.equal(network.state_dict()["layer3.1.conv2.weight"], theirs["layer3.1.conv2.weight"])
    assert torch.equal(network.state_dict()["global_dense.0.weight"], branch)
    assert network.eval()(torch.randn(2, 3, 128, 64)).shape == (2, 64)
    del theirs["bn1.weight"]
    torch.save(theirs, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"bn1\.weight is missing"):
        load_pretrained(network, tmp_path / "w.pth", pytest.fail)
    with pytest.raises(WeightsError, match="a StripNet begins with a run's weights only"):
        load_pretrained(build_network(Architecture("stripnet", 64, 4), 64, 32), tmp_path / "w.pth", pytest.fail)
