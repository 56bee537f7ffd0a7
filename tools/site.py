"""Finishes the built documentation and refuses what is broken in it.

    python tools/site.py SITE

Brings along the files of the repository that pages link to, and checks what the builder does not: links and
anchors in the finished pages, images, and that nothing is fetched from another host when a page is read.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
BROUGHT = "repository"
"""Folder of the site for files that lie outside docs/."""
LINK = re.compile(r'(?<=href=")(?:\.\./)+[^"#]+')
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
"""Tag -> the attribute whose address a browser fetches by itself."""
FOREIGN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?(?:https?:)?//""")


class Page(HTMLParser):
    """What a page defines, links to and fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes down the anchors and addresses of one tag."""
        given = {name: value for name, value in attrs if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if "mermaid" in given.get("class", "").split():
            self.fetched.append("https://unpkg.com/ (mermaid)")
        if tag == "link" and given.get("rel") in ("canonical", "prev", "next", "alternate"):
            self.links.append(given["href"])
        elif FETCHED.get(tag) in given:
            self.fetched.append(given[FETCHED[tag]])
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])


def pages(site: Path) -> Iterator[Path]:
    """Yields the pages; 404.html belongs to a server, whose root its links start from."""
    yield from (path for path in sorted(site.rglob("*.html")) if path.name != "404.html")


def bring_files(site: Path, root: Path) -> list[Path]:
    """Copies the files outside docs/ that pages link to into the site, and turns the links to them.

    Returns:
        The files, as paths below `root`.
    """
    brought: set[Path] = set()
    for page in pages(site):
        here = page.parent.relative_to(site)
        turn = partial(_turned, folder=root / "docs" / here, root=root, up="../" * len(here.parts))
        text = page.read_text(encoding="utf-8")
        page.write_text(LINK.sub(lambda match, turn=turn: turn(match[0], brought), text), encoding="utf-8")
    for relative in brought:
        copy = site / BROUGHT / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / relative, copy)
    return sorted(brought)


def _turned(link: str, brought: set[Path], *, folder: Path, root: Path, up: str) -> str:
    target = (folder / unquote(link)).resolve()
    outside = target.is_relative_to(root) and not target.is_relative_to(root / "docs")
    if not (outside and target.is_file()):
        return link
    relative = target.relative_to(root)
    brought.add(relative)
    return f"{up}{BROUGHT}/{relative.as_posix()}"


def problems(site: Path) -> list[str]:
    """Returns a sentence for each broken link and for each thing fetched from another host."""
    read = {page: Page(page.read_text(encoding="utf-8")) for page in pages(site)}
    found = []
    for path, page in read.items():
        where = path.relative_to(site).as_posix()
        for address in page.fetched:
            if urlsplit(address).netloc:
                found.append(f"{where}: fetches {address}; a page must bring everything itself.")
        for address in [*page.links, *page.fetched]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or not target.is_relative_to(site):
                found.append(f"{where}: links to {address}, which is not there.")
            elif parts.fragment and target in read and unquote(parts.fragment) not in read[target].anchors:
                found.append(f"{where}: links to {address}, a page without that heading.")
    found += [
        f"{path.relative_to(site).as_posix()}: a style fetches from another host."
        for path in sorted(site.rglob("*.css"))
        if FOREIGN_STYLE.search(path.read_text(encoding="utf-8"))
    ]
    return list(dict.fromkeys(found))


def main(site: Path) -> int:
    """Finishes and checks a site; returns 1 where something is broken."""
    site = site.resolve()
    bring_files(site, ROOT)
    found = problems(site)
    print(
        "\n".join(found)
        if found
        else f"{site / 'index.html'}: {len(list(pages(site)))} pages, all links lead somewhere"
    )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
