"""What `provender corpus duplicates` prints: one cluster side by side, and the S-curve of the recipe's bands."""

from collections.abc import Iterator
from difflib import SequenceMatcher

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from corpus.dedup.curve import Curve, curve_of
from corpus.dedup.members import Cluster, Member
from corpus.errors import ConfigError
from pipelines.recipe import Recipe

CONTEXT = 8  # words shown before and after a difference
LONGEST = 5_000  # words of a document that are compared for display


def cluster_view(cluster: Cluster) -> RenderableType:
    """The members and their fates, then every removed copy beside the document that stays for it."""
    by_id = {member.id: member for member in cluster.members}
    parts: list[RenderableType] = [_members(cluster)]
    for member in cluster.members:
        if member.keeper in by_id:
            parts.append(_beside(by_id[member.keeper], member))
    if len(parts) == 1:  # nothing decided yet, or other rules dropped the copies: show the measured pairs
        parts += [_beside(by_id[pair.a], by_id[pair.b], pair.kind, pair.similarity) for pair in cluster.pairs]
    return Group(*parts)


def _members(cluster: Cluster) -> Table:
    table = Table(title=f"Cluster {cluster.name}, {len(cluster.members)} documents", title_justify="left")
    for column in ("id", "source", "file", "record", "bytes", "fate", "stays for it", "similarity"):
        table.add_column(column, justify="right" if column in ("record", "bytes", "similarity") else "left")
    for member in cluster.members:
        fate = member.fate or "undecided"
        table.add_row(
            member.id,
            member.source,
            Text(member.file),
            str(member.position),
            f"{len(member.text.encode()):,}",
            Text(f"{fate}: {member.reason}" if member.reason else fate),
            member.keeper or "",
            "" if member.similarity is None else f"{member.similarity:.3f}",
        )
    return table


def _beside(left: Member, right: Member, kind: str | None = None, similarity: float | None = None) -> Table:
    """Two documents where they differ: the words only one of them has stand in {- -} and {+ +}."""
    kind = kind or right.kind
    similarity = similarity if similarity is not None else right.similarity
    table = Table(title=f"{kind} copy, similarity {similarity:.3f}", title_justify="left", show_lines=True, expand=True)
    table.add_column(_heading("stays" if right.keeper else left.fate or "undecided", left), ratio=1)
    table.add_column(_heading("removed" if right.keeper else right.fate or "undecided", right), ratio=1)
    rows = list(differences(left.text, right.text))
    for one, other in rows:
        table.add_row(one, other)
    if not rows:
        opening = " ".join(left.text.split()[: 4 * CONTEXT])
        table.add_row(Text(opening + " …"), Text("the same words; at most case, punctuation and white space differ"))
    return table


def _heading(fate: str, member: Member) -> Text:
    return Text(f"{fate}: {member.source}/{member.file} {member.position}")


def differences(left: str, right: str) -> Iterator[tuple[Text, Text]]:
    """Each passage in which the words differ, in both texts, with some words around it."""
    ours, theirs = left.split(), right.split()
    longest = max(len(ours), len(theirs))
    ours, theirs = ours[:LONGEST], theirs[:LONGEST]
    matcher = SequenceMatcher(None, [w.lower() for w in ours], [w.lower() for w in theirs], autojunk=False)
    for group in matcher.get_grouped_opcodes(CONTEXT):
        one, other = Text(), Text()
        for kind, a, a_end, b, b_end in group:
            _append(one, ours[a:a_end], "" if kind == "equal" else "-", "red")
            _append(other, theirs[b:b_end], "" if kind == "equal" else "+", "green")
        if any(kind != "equal" for kind, *_ in group):
            yield one, other
    if longest > LONGEST:
        yield Text(f"(only the first {LONGEST:,} words are compared here)"), Text("")


def _append(text: Text, words: list[str], mark: str, style: str) -> None:
    if words:
        said = " ".join(words)
        text.append(f"{{{mark}{said}{mark}}} " if mark else f"{said} ", style=style if mark else "")


def recipe_curve(recipe: Recipe) -> RenderableType:
    """The S-curve of a recipe. Raises ConfigError when it looks for no duplicates."""
    if recipe.corpus.duplicates is None:
        raise ConfigError(
            "this recipe looks for no duplicates", where=f"{recipe.name}: corpus.duplicates", todo="remove `null` there"
        )
    return curve_table(curve_of(recipe.corpus.duplicates))


def curve_table(curve: Curve) -> RenderableType:
    """The S-curve: the share of pairs of each similarity that some band proposes, and what becomes of them."""
    title = f"{curve.bands} bands of {curve.rows} rows: half the pairs of similarity {curve.middle:.2f} are proposed"
    table = Table(title=title, title_justify="left")
    for column in ("similarity", "proposed", ""):
        table.add_column(column, justify="left" if not column else "right")
    for similarity, found in zip(curve.similarity, curve.found, strict=True):
        bar = "█" * round(40 * found)
        mark = " ← threshold" if similarity == curve.threshold else ""
        table.add_row(f"{similarity:.2f}", f"{found:.4f}", bar + mark)
    below = "Proposed pairs below the threshold are measured and let go; pairs no band proposes are lost."
    return Group(table, below)
