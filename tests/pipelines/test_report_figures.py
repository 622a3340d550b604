"""Every table of the report, read back from the page and counted again from the files, by other means."""

import html
import json
import math
import re
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path

import numpy
import pyarrow.parquet as pq
import pytest
from synthetic_workspace import write_all

from pipelines.audit.everything import ask
from pipelines.report.page import render_html

BY_WORDS = "quality words, before and after"


class Tables(HTMLParser):
    """caption → rows of (sort value of each cell); the total row is left out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._caption, self._in_caption, self._in_body = "", False, False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "caption":
            self._in_caption, self._caption = True, ""
        elif tag == "tbody":
            self._in_body = True
        elif tag == "tr" and self._in_body:
            self.found[self._caption].append([])
        elif tag in ("th", "td") and self._in_body:
            self.found[self._caption][-1].append(dict(attrs)["data-value"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._in_caption = False
            self.found[self._caption] = []
        elif tag == "tbody":
            self._in_body = False

    def handle_data(self, data: str) -> None:
        if self._in_caption:
            self._caption += data


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures") / "w"
    write_all(folder, documents=90, measured=True)
    return folder


@pytest.fixture(scope="module")
def page(workspace: Path) -> str:
    return render_html(ask(workspace))


@pytest.fixture(scope="module")
def tables(page: str) -> dict[str, list[list[str]]]:
    return Tables(page).found


def hovers(page: str, caption: str) -> list[str]:
    """What the parts of a figure say when pointed at, in order."""
    figure = re.search(rf"<figcaption>{re.escape(html.escape(caption))}</figcaption>(.*?)</figure>", page, re.DOTALL)
    assert figure is not None, caption
    return [html.unescape(said) for said in re.findall(r"<(?:rect|path|circle)[^>]*><title>(.*?)</title>", figure[1])]


@pytest.fixture(scope="module")
def measured(workspace: Path) -> dict[str, dict]:
    """What lies beside the ledger, by id."""
    found: dict[str, dict] = {}
    for name in ("annotate/*/*/documents.parquet", "perplexity/*/*/columns.parquet"):
        for path in workspace.glob(name):
            for row in pq.ParquetFile(path).read().to_pylist():
                found.setdefault(row["id"], {}).update(row)
    return found


@pytest.fixture(scope="module")
def rows(workspace: Path) -> list[dict]:
    paths = sorted((workspace / "corpus" / "ledger").glob("*/*.parquet"))
    return [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]


@pytest.fixture(scope="module")
def events(workspace: Path) -> dict[str, list[dict]]:
    paths = (workspace / "runs").glob("*/metrics.jsonl")
    return {path.parent.name: [json.loads(line) for line in path.read_text().splitlines()] for path in paths}


def test_the_funnel(tables: dict, rows: list[dict]) -> None:
    expected = {}
    for source in {row["source"] for row in rows}:
        own = [row for row in rows if row["source"] == source]
        fates = Counter(row["fate"] for row in own)
        expected[source] = [
            len(own), fates["kept"], fates["dropped"], fates["quarantined"],
            *[sum(row[name] or 0 for row in own) for name in ("bytes_in", "bytes_out", "tokens_in", "tokens_out")],
        ]  # fmt: skip
    found = {row[0]: [int(value) for value in row[3:]] for row in tables["From documents read to documents kept"]}
    assert found == expected
    why = Counter()
    for row in rows:
        if row["fate"] != "kept":
            why[row["reason"], row["source"], row["step"], row["fate"]] += 1
    found = {(row[0], row[4], row[5], row[6]): int(row[1]) for row in tables["Why documents were not kept"]}
    assert found == why


def test_edits_and_removed_values(tables: dict, rows: list[dict]) -> None:
    net, values = Counter(), Counter()
    for row in rows:
        for entry in row["edits"] or ():
            if row["fate"] == "kept" and entry["value"]:
                net[entry["key"], row["source"]] += entry["value"]
        for entry in row["pii"] or ():
            values[entry["key"]] += entry["value"]
    assert {(row[0], row[1]): int(row[5]) for row in tables["Bytes by kind of edit"]} == net
    assert {row[0]: int(row[2]) for row in tables["Removed values by type"]} == values


def test_duplicates(tables: dict, rows: list[dict]) -> None:
    source_of = {row["id"]: row["source"] for row in rows}
    repeats = Counter(
        (row["source"], source_of[row["duplicate_of"]], row["duplicate_kind"]) for row in rows if row["duplicate_of"]
    )
    assert {tuple(row[:3]): int(row[3]) for row in tables["Duplicates by source and keeper"]} == repeats
    clusters = Counter(row["cluster"] for row in rows if row["cluster"])
    for cluster, documents, *_ in tables["The largest clusters"]:
        assert clusters[cluster] == int(documents)


def test_tokens_and_their_bands(tables: dict, rows: list[dict]) -> None:
    lengths = defaultdict(list)
    for row in rows:
        if row["fate"] == "kept":
            lengths[row["source"], row["split"], row["language"]].append(row["tokens_out"])
    caption = "Kept tokens by source, split and language; percentiles per document"
    for source, split, language, documents, tokens, _, _, mean, least, *percentiles, most in tables[caption]:
        own = lengths.pop((source, split, language))
        assert (int(documents), int(tokens), int(least), int(most)) == (len(own), sum(own), min(own), max(own))
        assert float(mean) == pytest.approx(numpy.mean(own))
        exact = [numpy.percentile(own, q, method="inverted_cdf") for q in (5, 25, 50, 75, 95, 99)]
        assert [int(value) for value in percentiles] == exact
    assert not lengths
    bands, languages, decisions = defaultdict(lambda: [0, 0, 0, 0]), defaultdict(lambda: [0, 0, 0, 0]), Counter()
    for row in rows:
        tokens = row["tokens_in"] or 0
        decisions[row["source"], "kept" if row["fate"] == "kept" else row["step"]] += tokens
        kept = row["fate"] == "kept"
        if row["tokens_in"] is not None:
            band = bands[0 if tokens < 1 else 2 ** int(math.log2(tokens))]
            for at, value in enumerate((1, int(kept), tokens, tokens * kept)):
                band[at] += value
        if row["step"] != "quarantine":
            own = languages[row["language"]]
            for at, value in enumerate((1, int(kept), tokens, tokens * kept)):
                own[at] += value
    found = tables["Tokens by source and decision, as they came in"]
    assert {(row[0], row[1]): int(row[4]) for row in found} == decisions
    assert {int(row[0]): [int(v) for v in row[1:5]] for row in tables["Tokens by length band (tokens)"]} == dict(bands)
    assert {row[0]: [int(v) for v in row[2:6]] for row in tables["Languages before and after"]} == dict(languages)


def test_perplexity_and_quality_before_and_after(
    tables: dict, page: str, rows: list[dict], measured: dict[str, dict]
) -> None:
    readable = [row for row in rows if row["fate"] != "quarantined"]
    for key, caption in (("band", "Tokens by perplexity band"), ("bucket", "Tokens by perplexity bucket")):
        exact: dict = defaultdict(lambda: [0, 0, 0, 0])
        for row in readable:
            value = measured[row["id"]]["perplexity.value"]
            band = str(2 ** int(math.log2(value))) if key == "band" else row["perplexity_bucket"]
            kept = row["fate"] == "kept"
            for at, figure in enumerate((1, int(kept), row["tokens_in"], row["tokens_in"] * kept)):
                exact[band][at] += figure
        assert {row[0]: [int(value) for value in row[1:5]] for row in tables[caption]} == exact
    values = {row["id"]: measured[row["id"]]["quality.words"] for row in readable}
    edges = numpy.linspace(min(values.values()), max(values.values()), 21)
    kept = [values[row["id"]] for row in readable if row["fate"] == "kept"]
    exact = list(zip(*(numpy.histogram(some, edges)[0] for some in (list(values.values()), kept)), strict=True))
    said = [re.search(r": ([\d,]+) before, ([\d,]+) after", hover) for hover in hovers(page, BY_WORDS)[::2]]
    assert [tuple(int(count.replace(",", "")) for count in found.groups()) for found in said if found] == exact


def test_what_found_values_and_what_recall_is_estimated(
    tables: dict, page: str, workspace: Path, measured: dict[str, dict]
) -> None:
    spans = Counter(
        (span["type"], span["recogniser"]) for row in measured.values() for span in row["deidentify.spans"] or ()
    )
    found = {(row[0], None if row[1].startswith("found in the text") else row[1]): int(row[2])
             for row in tables["What found them"]}  # fmt: skip
    assert found == spans and {float(row[3]) for row in tables["What found them"]} == {0.5}
    assert [row[:3] for row in tables["Recall on identities that were planted"]] == [["EMAIL", "40", "39"]]
    assert "Of 40 identities planted in the input 39 were removed: an estimated recall of 97.5%" in page


def test_repeated_text_and_contaminated_items(tables: dict, page: str, workspace: Path) -> None:
    most = pq.read_table(workspace / "repeated" / "most.parquet").to_pylist()
    shown = tables["The most repeated lines and paragraphs"]
    assert [int(row[3]) for row in shown] == sorted((row["documents"] for row in most), reverse=True)
    assert "a@b.org" not in page and all("[EMAIL]" in row[0] for row in shown)
    items = pq.read_table(workspace / "contamination" / "items.parquet").to_pylist()
    for name, total, short, shared, hit, coverage in tables["Items of evaluation sets found in the corpus"]:
        own = [item for item in items if item["set"] == name]
        exact = [len(own), *(sum(test(item) for item in own) for test in (
            lambda item: item["words"] == 0, lambda item: item["documents"] > 0, lambda item: item["contaminated"] > 0
        ))]  # fmt: skip
        assert [int(total), int(short), int(shared), int(hit)] == exact
        assert float(coverage) == max(item["coverage"] for item in own)


def test_the_charts_say_what_the_ledger_says(page: str, rows: list[dict]) -> None:
    flows = Counter()
    for row in rows:
        outcome = row["step"] if row["fate"] == "dropped" else row["fate"]
        flows[f"{row['source']} → {outcome}"] += 1
        if row["fate"] != "kept":
            flows[f"{outcome} → {row['reason']}"] += 1
    said = hovers(page, "From sources to what became of them, and why, in documents")
    assert {hover.split(": ")[0]: int(hover.split(": ")[1].split()[0]) for hover in said} == flows
    near = Counter(
        f"{math.floor(round(row['similarity'] * 20, 4)) / 20:.2f}" for row in rows if row["duplicate_kind"] == "near"
    )
    said = hovers(page, "Near duplicates by measured similarity with the document that was kept")
    assert {label: int(count) for label, count in (hover.split(": ") for hover in said) if int(count)} == near
    sizes = Counter(str(size) for size in Counter(row["cluster"] for row in rows if row["cluster"]).values())
    said = hovers(page, "Duplicate clusters by number of documents")
    assert {label: int(count) for label, count in (hover.split(": ") for hover in said)} == sizes
    lengths: dict = defaultdict(lambda: [0, 0])
    for row in rows:
        if row["tokens_in"] is not None:
            own = lengths[2 ** int(math.log2(row["tokens_in"]))]
            own[0], own[1] = own[0] + 1, own[1] + (row["fate"] == "kept")
    said = hovers(page, "Documents by tokens per document, before and after")[::2]
    assert [[int(n) for n in re.findall(r"(\d+) (?:before|after)", hover)] for hover in said] == [
        lengths[band] for band in sorted(lengths)
    ]
    kept = [row for row in rows if row["fate"] == "kept"]
    figures = dict(re.findall(r"<dt>(.*?)</dt><dd><span>(.*?)</span>", page))
    assert figures["documents kept"] == f"{len(kept):,}"
    assert f"{sum(row['tokens_out'] for row in kept):,} in" in page


def test_mixture_and_what_was_planned(tables: dict, workspace: Path, events: dict) -> None:
    seen = Counter()
    for run, own in events.items():
        for event in own:
            for source, tokens in event.get("source_tokens", {}).items() if event["event"] == "step" else ():
                seen[source, run] += tokens
    caption = "Planned and realised tokens, over the steps that were finished"
    found = {(row[0], row[1]): [float(value) for value in row[3:]] for row in tables[caption]}
    assert {key: int(values[1]) for key, values in found.items()} == seen
    plan = json.loads((workspace / "plan" / "plan.json").read_text())
    for entry in plan["sources"]:
        planned, realised, difference, share, epochs, again = found[entry["name"], "guarded"]
        assert planned == realised and difference == 0
        assert share == pytest.approx(realised / sum(count for (_, run), count in seen.items() if run == "guarded"))
        assert epochs == pytest.approx(realised / plan["sequence_length"] / entry["sequences"])
        assert again == pytest.approx(max(0, realised - entry["sequences"] * plan["sequence_length"]), abs=1)


def test_evaluations_gates_and_speed(tables: dict, events: dict) -> None:
    for run, own in events.items():
        evaluations = {event["step"]: event["sets"] for event in own if event["event"] == "eval"}
        last = evaluations[max(evaluations)]
        before_after = {row[0]: row for row in tables["Bits per byte before and after"] if row[2] == run}
        assert set(before_after) == set(last)
        for name, row in before_after.items():
            start, end = evaluations[0][name]["bits_per_byte"], last[name]["bits_per_byte"]
            assert [float(value) for value in row[3:6]] == pytest.approx([start, end, end - start])
        matrix = tables[f"{run}: bits per byte of each set at each evaluated step"]
        assert {row[0] for row in matrix} == set(last)
        for row in matrix:
            exact = [evaluations[step][row[0]]["bits_per_byte"] for step in sorted(evaluations)]
            assert [float(value) for value in row[2:]] == pytest.approx(exact)
        gates = [row for row in tables["The forgetting gate"] if row[0] == run]
        exact = [(event["step"], event["rise"]) for event in own if event["event"] == "gate"]
        assert [(int(row[1]), float(row[3])) for row in gates] == exact
        steps = [event for event in own if event["event"] == "step"]
        speed = next(row for row in tables["Runs"] if row[0] == run)
        assert [float(value) for value in speed[1:5]] == pytest.approx(
            [len(steps), sum(e["tokens"] for e in steps), sum(e["seconds"] for e in steps),
             sum(e["tokens"] for e in steps) / sum(e["seconds"] for e in steps)]
        )  # fmt: skip
        assert float(speed[6]) == pytest.approx(numpy.median([event["mfu"] for event in steps]))
        assert int(speed[7]) == max(event["memory"] for event in steps)


def test_no_table_of_the_page_is_left_unchecked(tables: dict) -> None:
    checked = {
        "From documents read to documents kept", "Why documents were not kept", "Bytes by kind of edit",
        "Removed values by type", "What found them", "Recall on identities that were planted", "Duplicates by source and keeper", "The largest clusters",
        "Kept tokens by source, split and language; percentiles per document",
        "Tokens by source and decision, as they came in", "Tokens by length band (tokens)",
        "Tokens by perplexity band", "Tokens by perplexity bucket", "The most repeated lines and paragraphs",
        "Items of evaluation sets found in the corpus", "Languages before and after", "Planned and realised tokens, over the steps that were finished",
        "Bits per byte before and after", "The forgetting gate", "Runs",
        "guarded: bits per byte of each set at each evaluated step",
        "no-replay: bits per byte of each set at each evaluated step",
    }  # fmt: skip
    # Copies of single files: totals of the plan, the score, manifests, versions; and texts (test_audit_canaries.py).
    copied = {
        "Planned over the whole plan", "Planted and found", "What was published", "How the runs were started",
        "Packages where this report was made", "Checks", "Dropped documents",
    }  # fmt: skip
    assert set(tables) == checked | copied
