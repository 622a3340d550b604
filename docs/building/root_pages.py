"""README.md and its neighbours as pages of the site: the same text, with links as they are seen from docs/."""

import re
from pathlib import Path, PurePosixPath

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"(\]\()([^)#:]+)((?:#[^)]*)?\))")


def root_pages(checkout: Path) -> dict[str, str]:
    """Page of the site → its Markdown."""
    return {page: seen_from_docs((checkout / name).read_text()) for name, page in PAGES.items()}


def seen_from_docs(text: str) -> str:
    """Markdown of the checkout's root, with its relative links as a page in docs/ writes them."""
    return LINK.sub(lambda link: link[1] + _target(link[2]) + link[3], text)


def _target(link: str) -> str:
    if link in PAGES:
        return PAGES[link]
    path = PurePosixPath(link)
    return str(path.relative_to("docs")) if path.parts[:1] == ("docs",) else f"../{link}"
