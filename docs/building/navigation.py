"""The pages of the site in the order in which data flows. What is not named here goes under "More"."""

from collections.abc import Iterable

HOME = "index.md"
SECTIONS: dict[str, tuple[str, ...]] = {
    "Guides": ("guide-data.md", "guide-training.md"),
    "Corpus": (
        "readers.md", "extraction.md", "language-and-perplexity.md", "quality.md", "deidentify.md", "dedup.md",
        "cuts.md",
    ),
    "Mixing": ("mixing.md", "laws.md"),
    "Training": ("training.md", "forgetting.md"),
    "Running": ("audit.md", "reliability.md", "scale-out.md"),
    "Methods": ("methods.md",),
    "Evidence": ("study.md", "benchmarks.md", "comparison.md"),
    "Reference": (
        "reference/command-line.md", "reference/recipe.md", "reference/errors.md", "reference/corpus.md",
        "reference/mixing.md", "reference/trainer.md", "reference/pipelines.md",
    ),
    "Project": ("design.md", "log.md", "changelog.md", "contributing.md", "security.md"),
}  # fmt: skip
MORE = "More"


def navigation(pages: Iterable[str]) -> list:
    """MkDocs' `nav` of the pages that are there: [index, {section: [page, …]}, …]. A page named above that does not
    exist is left out, one that exists and is not named stands at the end, so that no page is lost."""
    there = set(pages)
    named = {page for own in SECTIONS.values() for page in own}
    sections = SECTIONS | {MORE: tuple(sorted(page for page in there - named - {HOME} if "/" not in page))}
    found = {title: [page for page in own if page in there] for title, own in sections.items()}
    return [HOME, *({title: own} for title, own in found.items() if own)]
