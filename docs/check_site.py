"""Fails where the built site would make a browser load anything from elsewhere. Links to click on are free.

python docs/check_site.py site
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

# Where an attribute is loaded with the page. Of <link>, rel decides: canonical and the like are only read.
LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
READ_ONLY = {"canonical", "next", "prev", "alternate", "author", "license"}
ELSEWHERE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])\s*(?:https?:)?//[^)\"']*", re.IGNORECASE)
# An address within quotes, of a script: whatever it does with it.
IN_SCRIPT = re.compile(r"[\"'`](?:https?:|wss?:)//[^\"'`\s]+\.[^\"'`\s]*", re.IGNORECASE)
NAMES = ("http://www.w3.org/",)  # of XML, never loaded


class Loads(HTMLParser):
    """What a page loads from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within = tag
        given = dict(attrs)
        names = LOADED.get(tag, ())
        if tag == "link" and not set((given.get("rel") or "").split()) <= READ_ONLY:
            names = ("href",)
        self.found += [
            f"<{tag} {name}={given[name]}>"
            for name in names
            for part in (given.get(name) or "").split(",")
            if ELSEWHERE.match(part)
        ]
        self.found += IN_STYLE.findall(given.get("style") or "")

    def handle_data(self, data: str) -> None:
        if self.within == "style":
            self.found += IN_STYLE.findall(data)
        if self.within == "script":
            self.found += in_script(data)

    def handle_endtag(self, tag: str) -> None:
        self.within = ""


def in_script(text: str) -> list[str]:
    """The addresses that a script holds."""
    return [found for found in IN_SCRIPT.findall(text) if not found[1:].startswith(NAMES)]


def loads(path: Path) -> list[str]:
    """What a file of the site loads from elsewhere."""
    if path.suffix not in (".html", ".css", ".js", ".svg"):
        return []
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return IN_STYLE.findall(text)
    return in_script(text) if path.suffix == ".js" else Loads(text).found


def main(site: Path) -> int:
    """How many files load anything from elsewhere, each named."""
    files = sorted(path for path in site.rglob("*") if path.is_file())
    wrong = {path: found for path in files if (found := loads(path))}
    for path, found in wrong.items():
        print(f"{path.relative_to(site)}: {', '.join(found)}")  # noqa: T201
    pages = sum(path.suffix == ".html" for path in files)
    print(f"{pages} pages, {len(wrong)} of {len(files)} files load from elsewhere")  # noqa: T201
    return len(wrong) or int(not pages)


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 1))
