"""Damaged, truncated, foreign and hostile files end in one clear error, and nothing of them is run."""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from resight.core.errors import ConfigError, WeightsError
from resight.models.foreign.importing import import_foreign
from tests.models.foreign import files


def changed(**entries: Any) -> Callable[[], bytes]:
    """A TransReID's file with some entries other than they should be; None: without it."""

    def make() -> bytes:
        found = files.transreid()
        for name, value in entries.items():
            key = name.replace("__", ".")
            if value is None:
                del found[key]
            else:
                found[key] = value(found.get(key)) if callable(value) else value
        return files.saved(found)

    return make


def with_value(value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[3] = value
        return tensor

    return change


def cut(kind: str, share: float, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        data = files.saved(files.WHOLE[kind](), **options)
        return data[: int(len(data) * share)]

    return make


def overwritten(kind: str, start: float, length: int, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        data = bytearray(files.saved(files.WHOLE[kind](), **options))
        place = int(len(data) * start)
        data[place : place + length] = b"\xa5" * length
        return bytes(data)

    return make


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
        link = tarfile.TarInfo("pickle")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return stream.getvalue()


def endless() -> bytes:
    """A tensor that says that it is larger than all memory, of one value."""
    return files.saved({"base.pos_embed": torch.zeros(1).as_strided((1, 1 << 40, 768), (0, 0, 0))})


DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "cannot be read"),
    "one byte": (lambda: b"\x80", "cannot be read"),
    "text": (lambda: b"not weights\n", "cannot be read"),
    "zeros": (lambda: bytes(4096), "tar archive"),
    "a page": (lambda: b"<!DOCTYPE html><html>Sign in</html>", "cannot be read"),
    "a pointer of git-lfs": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "cannot be read"),
    "a JPEG": (lambda: b"\xff\xd8\xff\xe0" + bytes(100), "cannot be read"),
    "an archive without weights": (lambda: files.in_zip(b"", "notes.txt"), "cannot be read"),
    "an archive of nothing": (lambda: b"PK\x05\x06" + bytes(18), "cannot be read"),
    "the head of an archive": (lambda: b"PK\x03\x04", "damaged or cut short"),
    "an empty pickle in an archive": (lambda: files.in_zip(b""), "cannot be read as"),
    "a compiled program": (files.torchscript, "TorchScript"),
    "an archive that unfolds": (files.bomb, "unfolds"),
    "a tar": (tar, "tar archive"),
    **{
        f"{kind} cut at {share}{' (legacy)' * legacy}": (
            cut(kind, share, legacy=legacy),
            "cannot be read|damaged or cut short",
        )
        for kind in files.WHOLE
        for share, legacy in ((0.3, False), (0.95, False), (0.5, True))
    },
    "transreid overwritten at its start": (overwritten("transreid", 0.0, 64), "cannot be read|damaged"),
    "osnet overwritten in its legacy head": (overwritten("osnet", 0.0, 64, legacy=True), "cannot be read"),
    "la-transformer without its directory": (overwritten("la-transformer", 0.999, 4096), "cut short|cannot be read"),
    "lists within lists": (lambda: files.legacy(files.nested(200_000)), "cannot be read|no weights by name"),
    "a tensor beyond all memory": (endless, "more values than the file holds"),
}

FOREIGN: dict[str, tuple[Callable[[], bytes], str]] = {
    "a list": (lambda: files.saved([1, 2]), "no weights by name"),
    "a number": (lambda: files.saved(3), "no weights by name"),
    "nothing": (lambda: files.saved(None), "no weights by name"),
    "one tensor": (lambda: files.saved(torch.zeros(3)), "no weights by name"),
    "an empty mapping": (lambda: files.saved({}), "no weights by name"),
    "an empty state dict in a wrapper": (lambda: files.saved({"state_dict": {}}), "no weights by name"),
    "numbers alone": (lambda: files.saved({"epoch": 3, "rank1": 0.9}), "no weights by name"),
    "names that are numbers": (lambda: files.saved({1: torch.zeros(2)}), "of no kind that is known"),
    "another network": (lambda: files.saved({"features.0.weight": torch.zeros(2)}), "begin with features.0.weight"),
    "an optimizer": (lambda: files.saved({"model": {"state": 3}, "step": torch.zeros(1)}), "no weights by name"),
    "a missing key": (changed(base__cls_token=None), r"base.cls_token \(of ours\) is missing"),
    "a missing table": (changed(base__pos_embed=None), "of no kind"),
    "a foreign key": (changed(extra=torch.zeros(2)), "extra is foreign"),
    "a foreign block": (changed(b3__0__norm1__weight=torch.zeros(32)), "b3.0.norm1.weight is foreign"),
    "a token of another width": (changed(base__cls_token=torch.zeros(1, 1, 48)), r"base.cls_token is \(1, 1, 48\)"),
    "side information of another width": (changed(base__sie_embed=torch.zeros(6, 1, 8)), "base.sie_embed is"),
    "side information of another form": (changed(base__sie_embed=torch.zeros(6)), "has not 3 dimensions"),
    "a table of no known size": (changed(base__pos_embed=torch.zeros(1, 100, 32)), "no known size and stride"),
    "a table of another form": (changed(base__pos_embed=torch.zeros(129, 32)), "has not 3 dimensions"),
    "patches of another form": (changed(base__patch_embed__proj__weight=torch.zeros(32, 3)), "has not 4 dimensions"),
    "patches of many pixels": (changed(base__patch_embed__proj__weight=torch.zeros(2, 3, 512, 1)), "no known size"),
    "a network beyond all memory": (
        lambda: files.saved(
            {
                "base.pos_embed": torch.zeros(1, 129, 1),
                "base.patch_embed.proj.weight": torch.zeros(4096, 1, 16, 1),
                "base.blocks.0.mlp.fc1.weight": torch.zeros(16384, 1),
                **{f"base.blocks.{k}.x": torch.zeros(1) for k in range(64)},
            }
        ),
        "more than 700,000,000 weights",
    ),
    "no layer norm": (changed(b2__1__weight=None, b2__1__bias=None), "b2.1.weight.* is missing"),
    "not a number": (changed(base__cls_token=with_value(float("nan"))), "base.cls_token holds values .* not finite"),
    "an infinite value": (changed(base__cls_token=with_value(float("inf"))), "not finite"),
    "complex values": (
        changed(base__cls_token=torch.zeros(1, 1, 32, dtype=torch.complex64)),
        "cannot be read|not read",
    ),
    "truth values": (changed(base__cls_token=torch.zeros(1, 1, 32, dtype=torch.bool)), "not read as weights"),
    "sparse weights": (changed(base__cls_token=torch.eye(2).to_sparse()), "cannot be read|not read|missing"),
    "weights without values": (
        changed(base__cls_token=torch.zeros(1, 1, 32, device="meta")),
        "cannot|not read|missing",
    ),
    "a prefix here and there": (
        lambda: files.saved({("module." * (k % 2)) + name: v for k, (name, v) in enumerate(files.transreid().items())}),
        "is foreign|of no kind|is missing",
    ),
    "variances below nothing": (
        lambda: files.saved({**files.osnet(), "fc.1.running_var": -torch.ones(512)}),
        "fc.1.running_var holds negative variances",
    ),
    "an osnet of no known width": (
        lambda: files.saved({**files.osnet(), "conv1.conv.weight": torch.zeros(20, 3, 7, 7)}),
        "no OSNet has 20 channels",
    ),
    "an osnet without its last layer": (
        lambda: files.saved({k: v for k, v in files.osnet().items() if not k.startswith("fc.")}),
        r"fc.0.weight \(of ours\) is missing",
    ),
    "a key twice": (
        lambda: files.saved(
            {"base.layer0.conv1.weight": torch.zeros(64, 3, 7, 7), "base.conv1.weight": torch.zeros(1)}
        ),
        "twice|is .1,., not",
    ),
    "two generations of fast-reid": (
        lambda: files.saved(
            {
                name: torch.zeros(1)
                for name in ("backbone.conv1.weight", "heads.bottleneck.0.weight", "heads.bnneck.bias")
            }
        ),
        "do not tell their pooling",
    ),
    "pixels without a deviation": (
        lambda: files.saved(
            {name: torch.zeros(3) for name in ("backbone.conv1.weight", "heads.bnneck.weight", "pixel_mean")}
        ),
        "pixel_mean and pixel_std",
    ),
    "a clip encoder of another form": (
        lambda: files.saved({f"image_encoder.{name}": torch.zeros(3) for name in ("class_embedding", "conv1.weight")}),
        "has not 4 dimensions",
    ),
}

# What a pickle might call: module, function, arguments. {} stands for a file that must not come to be.
CALLS = {
    "os.system": ("os", "system", "touch {}"),
    "posix.system": ("posix", "system", "touch {}"),
    "nt.system": ("nt", "system", "touch {}"),
    "eval": ("builtins", "eval", "open('{}', 'w')"),
    "exec": ("builtins", "exec", "open('{}', 'w')"),
    "exec of Python 2": ("__builtin__", "exec", "open('{}', 'w')"),
    "open": ("builtins", "open", "{}", "w"),
    "io.open": ("io", "open", "{}", "w"),
    "subprocess": ("subprocess", "getoutput", "touch {}"),
    "popen": ("os", "popen", "touch {}"),
    "mkdir": ("os", "mkdir", "{}"),
    "makedirs": ("os", "makedirs", "{}"),
    "Path.touch": ("pathlib", "Path.touch", "{}"),
    "runpy": ("runpy", "run_path", "{}"),
    "timeit": ("timeit", "timeit", "open('{}', 'w')"),
    "cProfile": ("cProfile", "run", "open('{}', 'w')"),
    "pdb": ("pdb", "run", "open('{}', 'w')"),
    "code": ("code", "interact", "{}"),
    "import": ("builtins", "__import__", "antigravity"),
    "importlib": ("importlib", "import_module", "antigravity"),
    "torch's own loader": ("torch", "load", "{}"),
    "torch's compiler": ("torch.utils.cpp_extension", "load", "name", "{}"),
    "torch.hub": ("torch.hub", "load", "somebody/something", "network"),
    "numpy's loader": ("numpy", "save", "{}", "x"),
    "a function of torch's": ("torch", "save", "x", "{}"),
    "a storage that is none": ("torch", "os.system", "touch {}"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file(name: str, tmp_path: Path) -> None:
    make, message = DAMAGED[name]
    path = files.write(tmp_path / "weights.pth", make())
    with pytest.raises(WeightsError, match=message) as error:
        import_foreign(path, options=files.HEADS)
    assert "weights.pth" in str(error.value)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file(name: str, tmp_path: Path) -> None:
    make, message = FOREIGN[name]
    data = make()
    path = files.write(tmp_path / "weights.pth", data)
    with pytest.raises(WeightsError, match=message) as error:
        import_foreign(path, options=files.HEADS if b"base.pos_embed" in data else None)
    assert "weights.pth" in str(error.value)


@pytest.mark.parametrize("form", [files.in_zip, files.legacy], ids=["archive", "legacy"])
@pytest.mark.parametrize("name", CALLS)
def test_nothing_of_a_file_is_run(name: str, form: Callable[[bytes], bytes], tmp_path: Path) -> None:
    target = tmp_path / "attacked"
    module, function, *arguments = CALLS[name]
    data = files.calls(module, function, *(word.replace("{}", str(target)) for word in arguments))
    path = files.write(tmp_path / "evil.pth", form(data))
    with pytest.raises(WeightsError, match=r"evil.pth"):
        import_foreign(path)
    assert not target.exists()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("legacy", [False, True], ids=["archive", "legacy"])
def test_an_attack_beside_good_weights_does_nothing(legacy: bool, tmp_path: Path) -> None:
    """It is among what is left out, as an optimizer is; the weights are good."""
    target = tmp_path / "attacked"
    attack = files.Attack(Path.touch, target)
    found = {"state_dict": files.osnet(), "optimizer": attack, "hooks": [attack, {"deep": attack}]}
    path = files.write(tmp_path / "weights.pth", files.saved(found, legacy=legacy))
    assert import_foreign(path).kind == "osnet"
    assert not target.exists()


def test_an_attack_within_a_network_does_nothing(tmp_path: Path) -> None:
    target = tmp_path / "attacked"
    network = files.module_of(files.osnet())
    network._modules["hook"] = files.Attack(Path.touch, target)
    network.__dict__["forward"] = files.Attack(Path.touch, target)
    data = saved_module(network)
    assert import_foreign(files.write(tmp_path / "weights.pth", data)).kind == "osnet"
    assert not target.exists()


def test_no_file_changes_what_reads_it(tmp_path: Path) -> None:
    """BUILD sets attributes of whatever was found: of the functions that rebuild tensors too."""
    before = torch._utils._rebuild_tensor_v2.__defaults__
    state = b"N}U\x0c__defaults__I1\n\x85s\x86b."
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict", b"torch\nFloatStorage"):
        path = files.write(tmp_path / "weights.pth", files.in_zip(b"\x80\x02c" + name + b"\n" + state))
        with pytest.raises(WeightsError, match=r"weights\.pth"):
            import_foreign(path)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    assert not hasattr(torch.FloatStorage, "__defaults__")


def test_a_place_far_out_in_memory_takes_none(tmp_path: Path) -> None:
    far = b"\x80\x02}r\xff\xff\xff\xff."  # LONG_BINPUT 4,294,967,295: 32 GiB where the memory is a list
    with pytest.raises(WeightsError, match="no weights by name"):
        import_foreign(files.write(tmp_path / "weights.pth", files.in_zip(far)))


def saved_module(network: Any, *, legacy: bool = True) -> bytes:
    """With its class in place while it is written, and gone when it is read."""
    module = type(sys)("modeling.baseline")
    vars(module)["Baseline"] = type(network)
    sys.modules |= {"modeling": type(sys)("modeling"), "modeling.baseline": module}
    try:
        return files.saved(network, legacy=legacy)
    finally:
        del sys.modules["modeling.baseline"], sys.modules["modeling"]


@pytest.mark.parametrize("legacy", [False, True], ids=["archive", "legacy"])
def test_a_whole_pickled_network_is_read(legacy: bool, tmp_path: Path) -> None:
    data = saved_module(files.module_of(files.osnet()), legacy=legacy)
    whole = import_foreign(files.write(tmp_path / "whole.pth", data))
    plain = import_foreign(files.write(tmp_path / "plain.pth", files.saved(files.osnet())))
    assert_same(whole.trained.network, plain.trained.network)


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for (name, a), (_, b) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize(
    "wrap",
    [
        lambda found: {"state_dict": found, "epoch": 60, "rank1": np.float64(0.9), "optimizer": {"state": {}}},
        lambda found: {"model": found, "iteration": 3},
        lambda found: {"teacher": found, "student": {}},
        lambda found: {"model": {"state_dict": found}},
        lambda found: {f"module.{name}": value for name, value in found.items()},
        lambda found: {"state_dict": {f"module.module.{name}": value for name, value in found.items()}},
        lambda found: {name: value.double() if value.is_floating_point() else value for name, value in found.items()},
        lambda found: {name: value for name, value in found.items() if not name.endswith("num_batches_tracked")},
    ],
)
def test_what_users_have_around_their_weights(wrap: Callable[[dict[str, Tensor]], Any], tmp_path: Path) -> None:
    plain = import_foreign(files.write(tmp_path / "plain.pth", files.saved(files.osnet())))
    wrapped = import_foreign(files.write(tmp_path / "wrapped.pth", files.saved(wrap(files.osnet()))))
    assert_same(wrapped.trained.network, plain.trained.network)
    assert wrapped.unused == ("classifier.weight", "classifier.bias")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        files.safetensors_header(b"{}", 1 << 60),
        files.safetensors_header(b"not json"),
        files.safetensors_header(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
        files.safetensors_header(b'{"a":{"dtype":"F99","shape":[],"data_offsets":[0,0]}}'),
        pickle.dumps({}),
    ],
)
def test_a_damaged_safetensors_file(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not a safetensors file"):
        import_foreign(files.write(tmp_path / "weights.safetensors", data))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 5}, "does not divide into 5 heads"),
        ({"heads": 2, "sift": 3}, "unknown option of transreid 'sift'. Known: .*shift"),
        ({"heads": 2, "height": "tall"}, "height is a whole number, not 'tall'"),
        ({"heads": 2, "unseen": "6"}, "one of 0 to 5"),
        ({"heads": 2, "unseen": "-1"}, "one of 0 to 5"),
        ({"heads": 2, "neck": "around"}, "neck is before or after"),
        ({"heads": 2, "shift": "five"}, "shift must be of type int"),
        ({"heads": 2, "height": 255, "width": 128, "stride": 16}, "and 255 x 128 at stride 16 has not"),
        ({}, "Say --option heads=N"),
    ],
)
def test_an_option_that_does_not_fit(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = files.write(tmp_path / "weights.pth", files.saved(files.transreid()))
    with pytest.raises((ConfigError, WeightsError), match=message):
        import_foreign(path, options=options)


def test_a_kind_that_it_is_not(tmp_path: Path) -> None:
    path = files.write(tmp_path / "weights.pth", files.saved(files.osnet()))
    with pytest.raises(WeightsError, match=r"base\.pos_embed is missing"):
        import_foreign(path, "transreid")
    with pytest.raises(ConfigError, match="Known: bignet, bot, clip-resnet"):
        import_foreign(path, "resnet")
    path = files.write(tmp_path / "weights.pth", files.saved({"conv1.weight": torch.zeros(64, 3, 7, 7)}))
    with pytest.raises(
        WeightsError, match=r"begin with conv1.weight\. Any other network comes in by ONNX.*`resight bundle"
    ):
        import_foreign(path)
    with pytest.raises(WeightsError, match="No such file"):
        import_foreign(tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="Is a directory"):
        import_foreign(tmp_path)
