"""What the documents list is all that there is, and a page that fetches anything is found."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def test_every_room_is_in_the_plan() -> None:
    told = (ROOT / "docs" / "architecture.md").read_text()
    now = told[told.index("Now:") : told.index("No folder holds")]
    rooms = {path.parent.name for path in (ROOT / "src" / "resight").rglob("__init__.py")} - {"resight"}
    assert {room for room in rooms if not re.search(rf"\b{room}/", now)} == set()


def test_every_decision_and_benchmark_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    pages = [path.name for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))]
    assert re.findall(r"\]\((\d[^)]*)\)", listed) == pages
    rows = (ROOT / "benchmarks" / "README.md").read_text()
    files = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert {name for name in files if f"`{name}`" not in rows} == set()
    assert set(re.findall(r"`(\w+\.py)`", rows)) <= files


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_beside_the_site_lead_somewhere(document: str) -> None:
    """Those within docs/ are checked by `make docs`."""
    path = ROOT / document
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    assert links
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


@pytest.fixture(scope="module")
def check_site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_site", ROOT / "docs" / "check_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/css">'),
        ("a.html", '<link rel="preconnect" href="https://fonts.example">'),
        ("a.html", '<img src="a.png" srcset="b.png 1x, https://img.example/c.png 2x">'),
        ("a.html", '<p style="background: url(https://img.example/c.png)">'),
        ("a.html", "<style>@import 'https://fonts.example/css';</style>"),
        ("a.html", '<script>fetch("https://count.example/hit")</script>'),
        ("a.css", "@font-face { src: url('https://fonts.example/a.woff2') }"),
        ("a.js", 'const place = "https://unpkg.com/mermaid@11/dist/mermaid.min.js"'),
    ],
)
def test_a_page_that_fetches_is_found(check_site: ModuleType, name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="https://example.org">to click on</a><img src="own.png">')
    assert check_site.main(tmp_path) == 0
    (tmp_path / name).write_text(text)
    assert check_site.main(tmp_path) == 1


def test_no_page_at_all_is_a_failure(check_site: ModuleType, tmp_path: Path) -> None:
    assert check_site.main(tmp_path) == 1
