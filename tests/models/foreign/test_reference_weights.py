"""The paper's own weights: exactly mapped, and proven so by the paper's own figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resight.core.errors import ConfigError, WeightsError
from resight.data.formats.folder import read_folder
from resight.embedding.loading import load
from resight.evaluation.evaluate import evaluate
from resight.models.foreign.importing import import_foreign
from resight.models.foreign.reference_weights import import_reference_weights, rename
from resight.models.saved import save_model

FILES = {"slicenet1": "slicenet1_cosine_100.pth", "slicenet2": "slicenet2_cosine_augmented_125.pth"}
# rank-1, rank-5, mAP under `top10`; rank-1, mAP under `market1501`
FIGURES = {"slicenet1": (0.964, 1.000, 0.953, 0.929, 0.762), "slicenet2": (0.964, 1.000, 0.950, 0.857, 0.756)}


@pytest.mark.parametrize("network", FILES)
def test_the_figures_are_the_reports(network: str, seed_weights: Path, pku_reid: Path, tmp_path: Path) -> None:
    imported = import_reference_weights(seed_weights / FILES[network], network)
    save_model(tmp_path, imported.network, imported.config)
    embedded = load(tmp_path).embed_dataset(read_folder(pku_reid))
    report = evaluate(embedded.query, embedded.gallery, "top10")
    market = evaluate(embedded.query, embedded.gallery, "market1501")
    found = (report.rank(1), report.rank(5), report.mean_ap, market.rank(1), market.mean_ap)
    assert tuple(round(value, 3) for value in found) == FIGURES[network]


def test_wrappers_are_taken_off(seed_weights: Path, tmp_path: Path) -> None:
    plain = seed_weights / FILES["slicenet1"]
    weights = torch.load(plain, map_location="cpu", weights_only=True)
    parallel = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save({"state_dict": parallel, "epoch": 3, "optimizer": {"state": {}}}, tmp_path / "wrapped.pth")
    one, other = import_foreign(plain).trained.network.state_dict(), import_foreign(tmp_path / "wrapped.pth")
    assert other.kind == "slicenet1"
    assert all(torch.equal(tensor, one[name]) for name, tensor in other.trained.network.state_dict().items())


def test_names() -> None:
    assert rename("bignet.residual_6.conv_up.weight", "slicenet1") == "bignet.trunk.residual6.project.weight"
    assert rename("bignet.residual_5.bn_0.0.bias", "slicenet2") == "trunk.residual5.pre.0.bias"
    assert rename("dense_10.2.weight", "slicenet2") == "dense10.2.weight"


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(WeightsError, match="No such file"):
        import_reference_weights(path, "slicenet2")
    path.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="weights"):
        import_reference_weights(path, "slicenet2")
    torch.save([1, 2], path)
    with pytest.raises(WeightsError, match="no weights by name"):
        import_reference_weights(path, "slicenet2")
    torch.save({"bignet.conv_1.0.weight": torch.zeros(1), "other": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"is missing.*more"):
        import_reference_weights(path, "slicenet2")
    with pytest.raises(ConfigError, match="Known: bignet, slicenet1, slicenet2"):
        import_reference_weights(path, "resnet")


class Attack:
    """Unpickling this would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def test_no_pickled_code_is_executed(tmp_path: Path) -> None:
    torch.save({"weight": Attack(tmp_path / "attacked")}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="no weights by name"):
        import_reference_weights(tmp_path / "evil.pth", "slicenet2")
    assert not (tmp_path / "attacked").exists()
