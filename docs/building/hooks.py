"""MkDocs' events: generated pages, the order of the pages, links to source files.

A generator that fails, or a link that leads nowhere, is a warning; `mkdocs build --strict` ends at it.
"""

import logging
from functools import cache
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from docs.building.command_line import command_line_page
from docs.building.error_codes import errors_page
from docs.building.interface import interface_pages
from docs.building.navigation import navigation
from docs.building.recipe_keys import recipe_page
from docs.building.root_pages import root_pages
from docs.building.source_pages import MissingLink, source_pages, with_source_links

CHECKOUT = Path(__file__).parents[2]
# The theme's plugin "offline" lets search work from the disk by a script that the reader's browser would fetch from
# elsewhere; ours stands in its place.
FETCHED_SCRIPT = "https://unpkg.com/iframe-worker/shim"
WORKER_SCRIPT = "assets/file_worker.js"
log = logging.getLogger("mkdocs.hooks.provender")


@cache
def generated_pages() -> dict[str, str]:
    """Every page that is made from the code or from a file outside docs/; made once for each build."""
    return {
        **root_pages(CHECKOUT),
        "reference/command-line.md": command_line_page(),
        "reference/recipe.md": recipe_page(),
        "reference/errors.md": errors_page(),
        **interface_pages(),
    }


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    generated_pages.cache_clear()
    written = {path.relative_to(config.docs_dir).as_posix() for path in Path(config.docs_dir).glob("*.md")}
    config.nav = navigation(written | set(generated_pages()))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    generated = generated_pages()
    for page, text in generated.items():
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, WORKER_SCRIPT, abs_src_path=str(Path(__file__).with_name("file_worker.js"))))
    texts = [file.content_string for file in files if file.src_uri.endswith(".md")]
    try:
        sources = source_pages(CHECKOUT, texts)
    except MissingLink as missing:
        log.warning("%s", missing)
        sources = {}
    for page, text in sources.items():
        files.append(File.generated(config, page, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    source = page.file.src_uri
    return markdown if source.startswith("source/") else with_source_links(markdown, source)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    return _without_fetching(output, depth=page.file.dest_uri.count("/"))


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    return _without_fetching(output, depth=0)


def _without_fetching(output: str, depth: int) -> str:
    return output.replace(FETCHED_SCRIPT, "../" * depth + WORKER_SCRIPT)
