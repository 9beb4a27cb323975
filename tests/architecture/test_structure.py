"""The house rules as tests: who may import whom, what is public, and what installs without torch."""

from __future__ import annotations

import ast
import fcntl
import os
import re
import subprocess
import sys
import venv
from collections import Counter
from pathlib import Path

import pytest

import resight
from resight.data.city.synthetic import CityConfig, draw_city, save_city

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "resight").rglob("*.py"))
TORCH_FREE = ("core", "data", "embedding", "evaluation", "gallery", "report", "site", "video")
# Imported with the address that names their engine, with the driver that an extra installs.
OF_AN_EXTRA = ("gallery/postgres/connection.py", "gallery/milvus/connection.py", "gallery/milvus/schema.py")
# All that the repository holds and is no text, pictures of the documents apart: the packaged models, and files that
# earlier versions wrote, on drawn people. A new one is a decision; see CONTRIBUTING.md.
NO_TEXT = (
    "src/resight/embedding/models/city.resight",
    "src/resight/embedding/models/default-int8.resight",
    "src/resight/embedding/models/default.resight",
    "src/resight/embedding/models/market.resight",
    "src/resight/embedding/models/open.resight",
    "src/resight/embedding/models/slicenet1.resight",
    "src/resight/embedding/models/slicenet2.resight",
    "tests/saved/v0.1.0/files.tar.xz",
)
MOST_BYTES = {"src/resight/embedding/models/": 20_600_000, "tests/saved/": 800_000, "docs/images/": 1_500_000}


def test_the_public_names() -> None:
    assert resight.__all__ == [
        "Calibration",
        "Crop",
        "Dataset",
        "Decision",
        "EmbeddedCrops",
        "Evaluation",
        "Gallery",
        "Model",
        "ResightError",
        "SiteTransform",
        "__version__",
        "connect",
        "evaluate",
        "fit_site",
        "load",
        "load_site",
        "open_dataset",
        "open_gallery",
        "open_pictures",
        "progress_bar",
        "save_site",
        "split_people",
    ]
    assert all(hasattr(resight, name) for name in resight.__all__)


def test_imports_go_downward_only() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_of_a_readable_size(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_no_room_is_crowded() -> None:
    modules = Counter(path.parent.relative_to(ROOT / "src") for path in SOURCES if path.name != "__init__.py")
    assert {str(room): num for room, num in modules.items() if num > 12 and room.name != "cli"} == {}


def test_public_names_are_documented() -> None:
    missing = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            missing.append(str(path))
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                missing.append(f"{path.name}: {node.name}")
    assert not missing


def test_no_picture_or_weights_are_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    contents = {name: (ROOT / name).read_bytes() for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    drawn = "docs/images/"  # screenshots on the synthetic city
    no_text = {name for name in contents if not name.startswith(drawn) and not _is_text(contents[name])}
    assert no_text == set(NO_TEXT)
    for folder, most in MOST_BYTES.items():
        assert sum(len(contents[name]) for name in contents if name.startswith(folder)) <= most, folder
    within = re.compile(rb"base64,[A-Za-z0-9+/]{200}")  # a page carries its pictures in itself
    assert [name for name in contents if within.search(contents[name])] == []


def test_what_is_no_text_is_told() -> None:
    assert _is_text("Wörter\n".encode())
    assert not any(map(_is_text, (b"PK\x03\x04\x00", b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"\x80\x04K\x01.")))


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with `pip install .` and no extras; made once, whichever worker comes first."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "bare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "bare-is-made").exists():
            _make_bare(shared / "bare")
            (shared / "bare-is-made").touch()
    return shared / "bare" / "bin" / "python"


def _make_bare(home: Path) -> None:
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        ROOT / "constraints.txt",
        ROOT,
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=400)


def run_bare(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_small_install_works_without_torch(bare_python: Path, tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
        if path.relative_to(ROOT / "src" / "resight").parts[0] in TORCH_FREE
        and path.relative_to(ROOT / "src" / "resight").as_posix() not in OF_AN_EXTRA
    ]
    code = "import sys, importlib\n"
    code += f"for name in {['resight', *modules]!r}: importlib.import_module(name)\n"
    code += "assert not {'torch', 'onnxruntime', 'simplejpeg', 'safetensors'} & set(sys.modules)\n"
    code += "from importlib.util import find_spec\nassert find_spec('torch') is None\n"
    code += "from resight.data.formats.catalogue import open_dataset\n"
    code += "from resight.data.decoding import decode_crops\n"
    code += "city = open_dataset('synthetic:train_people=1,test_people=2')\n"
    code += "assert decode_crops(city.query, 64, 32).pixels.std() > 10\n"
    done = run_bare(bare_python, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_small_install_embeds_and_scores(bare_python: Path, tmp_path: Path) -> None:
    """The first lines of Python in the README, and the verbs, where there is no torch."""
    city = draw_city(CityConfig(train_people=1, test_people=4, cameras=2, crops_per_camera=2, height=64, width=32))
    save_city(city, tmp_path / "city")
    pictures = sorted(str(path) for path in (tmp_path / "city").rglob("*.jpg"))[:2]
    code = "import resight\n"
    code += "model = resight.load()\n"
    code += f"embeddings = model.embed({pictures!r})\n"
    code += "assert embeddings.shape == (2, model.dim)\n"
    code += "assert -1 <= model.similarity(embeddings[0], embeddings[1]) <= 1\n"
    code += "assert model.card.rights != 'not stated'\n"
    code += "print(model.decide(embeddings[0], embeddings[0]).verdict)\n"
    done = run_bare(bare_python, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "same\n"
    verbs = [["models"], ["embed", "default", "city", "-o", "city.npz"], ["evaluate", "--embeddings", "city.npz"]]
    for verb in verbs:
        done = run_bare(bare_python, "-m", "resight.cli", *verb, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "mAP" in done.stdout


def test_the_command_says_what_to_install(bare_python: Path, tmp_path: Path) -> None:
    assert run_bare(bare_python, "-m", "resight.cli", "train", "--help", cwd=tmp_path).returncode == 0
    done = run_bare(bare_python, "-m", "resight.cli", "train", "synthetic", "-o", "run", cwd=tmp_path)
    assert done.returncode == 6
    assert "pip install '.[train]'" in done.stderr
    assert "Traceback" not in done.stderr
