"""What the site has besides docs/: the README as its first page, the changes, and a page of reference for each room.

mkdocs calls these hooks; see mkdocs.yml.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "resight"
ELSEWHERE = {
    "index.md": "README.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "benchmarks.md": "benchmarks/README.md",
}
ONLY_VERBS = ("cli",)  # described by `resight VERB --help` and the guide


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fills the menu with what is there: rooms and decisions."""
    nav: list[Any] = config.nav or []
    for entry in nav:
        if isinstance(entry, dict) and "Reference" in entry:
            entry["Reference"] = ["reference/index.md", *(f"reference/{name}.md" for name in _rooms())]
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    nav.append({"Decisions": ["decisions/README.md", *(f"decisions/{name}" for name in decisions)]})
    nav.append({"Project": ["CONTRIBUTING.md", "benchmarks.md", "CHANGELOG.md"]})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are no files of docs/."""
    pages = {name: _at_home((ROOT / source).read_text(encoding="utf-8")) for name, source in ELSEWHERE.items()}
    pages["reference/index.md"] = _public_names()
    pages |= {f"reference/{name}.md": _room(name, modules) for name, modules in _rooms().items()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Takes out the addresses where the theme's script would fetch a drawing library, or what old browsers lack."""
    for script in Path(config.site_dir, "assets").rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        if (without := re.sub(r"https://(?:unpkg|api\.github)\.com[^\"'`]*", "", text)) != text:
            script.write_text(without, encoding="utf-8")


def _at_home(text: str) -> str:
    """Links of a file that stands elsewhere in the repository, as seen from docs/."""
    places = {
        "](docs/decisions)": "](decisions/README.md)",
        "](docs/": "](",
        "](../docs/": "](",
        "](benchmarks/README.md": "](benchmarks.md",
    }
    for place, seen in places.items():
        text = text.replace(place, seen)
    return text


def _rooms() -> dict[str, list[str]]:
    """The modules of each room, by its dotted name."""
    rooms: dict[str, list[str]] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        if len(parts) > 1 and parts[0] not in ONLY_VERBS and not parts[-1].startswith("_") and _has_names(path):
            rooms.setdefault(".".join(parts[:-1]), []).append(".".join(("resight", *parts)))
    return rooms


def _has_names(path: Path) -> bool:
    """Whether a module defines anything public that is described."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(n, ast.ClassDef | ast.FunctionDef) and not n.name.startswith("_") for n in nodes)


def _room(name: str, modules: list[str]) -> str:
    about = ast.get_docstring(ast.parse((SOURCES.joinpath(*name.split(".")) / "__init__.py").read_text())) or ""
    told = "\n\n".join(f"::: {module}" for module in modules)
    return f"# resight.{name}\n\n{about}\n\n{told}\n"


def _public_names() -> str:
    """resight.__all__, each where it is defined."""
    tree = ast.parse((SOURCES / "__init__.py").read_text(encoding="utf-8"))
    places = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    )
    told = [f"::: resight.{name}" for name in names if not name.startswith("__")]
    assert set(names) <= set(places)  # noqa: S101
    intro = (
        "# The public names\n\n`import resight` gives these, without PyTorch. Below, by room, is what they are made "
        "of: stable enough to build on within a version, and what training and exporting are called by.\n"
    )
    return "\n\n".join([intro, *told]) + "\n"
