"""The audit's figures, counted again from the raw rows in plain Python."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from synthetic_workspace import BATCH, SEQUENCE, Written, write_all, write_corpus, write_plan, write_run

from corpus.errors import ArtifactError
from pipelines.audit import corpus_questions, token_questions, training_questions
from pipelines.audit.everything import ask
from pipelines.audit.token_questions import AT
from pipelines.audit.verify import verify
from pipelines.audit.views import Views
from pipelines.audit.workspace import missing, read_events


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_all(tmp_path_factory.mktemp("audit") / "medical")


@pytest.fixture(scope="module")
def views(whole: Written) -> Iterator[Views]:
    with Views(whole.folder) as opened:
        yield opened


def test_the_funnel_counts_every_row_once(whole: Written, views: Views) -> None:
    expected: dict[tuple, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for row in whole.rows:
        sums = expected[row["source"], row["fate"], row["step"], row["reason"]]
        values = (1, row["bytes_in"], row["tokens_in"] or 0, row["bytes_out"], row["tokens_out"])
        for index, value in enumerate(values):
            sums[index] += value
    found = {tuple(row[:4]): list(row[4:]) for row in corpus_questions.funnel(views).iter_rows()}
    assert found == dict(expected)


def test_in_is_kept_and_dropped_and_quarantined_for_every_source(whole: Written, views: Views) -> None:
    totals = corpus_questions.totals(views)
    assert set(totals["source"]) == {row["source"] for row in whole.rows}
    for row in totals.iter_rows(named=True):
        own = [entry for entry in whole.rows if entry["source"] == row["source"]]
        fates = Counter(entry["fate"] for entry in own)
        assert row["documents_in"] == len(own) == sum(row[f"documents_{fate}"] for fate in fates)
        assert {fate: row[f"documents_{fate}"] for fate in fates} == fates
        assert row["bytes_in"] == sum(entry["bytes_in"] for entry in own)
        assert row["tokens_out"] == sum(entry["tokens_out"] for entry in own)


def test_edits_explain_the_change_of_bytes_of_the_kept(whole: Written, views: Views) -> None:
    expected: Counter = Counter()
    for row in whole.rows:
        if row["fate"] == "kept":
            for entry in row["edits"]:
                expected[row["source"], entry["key"]] += entry["value"]
    frame = corpus_questions.edits(views)
    assert {(source, kind): net for source, kind, _, _, _, net in frame.iter_rows()} == dict(expected)
    assert (frame["net"] == frame["bytes_added"] - frame["bytes_removed"]).all()
    kept = [row for row in whole.rows if row["fate"] == "kept"]
    assert frame["net"].sum() == sum(row["bytes_out"] - row["bytes_in"] for row in kept)


def test_pii_is_counted_by_source_and_type_whatever_became_of_the_document(whole: Written, views: Views) -> None:
    values: Counter = Counter()
    documents: Counter = Counter()
    for row in whole.rows:
        for entry in row["pii"]:
            values[row["source"], entry["key"]] += entry["value"]
            documents[row["source"], entry["key"]] += 1
    found = corpus_questions.pii(views)
    assert {(row[0], row[1]): row[3] for row in found.iter_rows()} == dict(values)
    assert {(row[0], row[1]): row[2] for row in found.iter_rows()} == dict(documents)


def test_duplicates_their_clusters_and_similarities(whole: Written, views: Views) -> None:
    source_of = {row["id"]: row["source"] for row in whole.rows}
    repeats = [row for row in whole.rows if row["duplicate_of"]]
    kinds = Counter((row["source"], source_of[row["duplicate_of"]], row["duplicate_kind"]) for row in repeats)
    assert {tuple(row[:3]): row[3] for row in corpus_questions.duplicates(views).iter_rows()} == kinds
    clusters = Counter(row["cluster"] for row in whole.rows if row["cluster"])
    found = corpus_questions.clusters(views)
    assert dict(zip(found["cluster"], found["documents"], strict=True)) == dict(clusters.most_common(20))
    sizes = corpus_questions.cluster_sizes(views)
    assert dict(sizes.iter_rows()) == Counter(clusters.values())
    bins = {round(low, 2): count for low, _, count in corpus_questions.similarities(views).iter_rows()}
    near = [row["similarity"] for row in repeats if row["duplicate_kind"] == "near"]
    assert bins[0.85] == near.count(0.85)  # as float32 it lies just below its own bin
    assert bins[0.95] == near.count(0.95) + near.count(0.97)
    assert sum(bins.values()) == len(near)


def test_tokens_by_source_split_and_language(whole: Written, views: Views) -> None:
    lengths: dict[tuple, list[int]] = defaultdict(list)
    for row in whole.rows:
        if row["fate"] == "kept":
            lengths[row["source"], row["split"], whole.languages[row["id"]]].append(row["tokens_out"])
    frame = token_questions.tokens(views)
    found = {tuple(row[:3]): row[3:] for row in frame.iter_rows()}
    assert set(found) == set(lengths)
    for key, values in lengths.items():
        documents, tokens, _, mean, shortest, *percentiles, longest = found[key]
        assert (documents, tokens, shortest, longest) == (len(values), sum(values), min(values), max(values))
        assert mean == pytest.approx(sum(values) / len(values))
        assert percentiles == [numpy.percentile(values, 100 * share, method="inverted_cdf") for share in AT]


def test_realised_tokens_are_the_plans_for_every_run_step_and_source(whole: Written) -> None:
    frame = training_questions.mixture_steps(whole.folder)
    expected: Counter = Counter()
    for name in ("guarded", "no-replay"):
        for line in (whole.folder / "runs" / name / "metrics.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "step":
                for source, tokens in event["source_tokens"].items():
                    expected[name, event["step"], source] += tokens
    found = {(row["run"], row["step"], row["source"]): row["realised_tokens"] for row in frame.iter_rows(named=True)}
    assert found == dict(expected)
    assert (frame["planned_tokens"] == frame["realised_tokens"]).all()
    assert (frame["planned_tokens"] == frame["planned_sequences"] * SEQUENCE).all()
    assert set(training_questions.mixture(whole.folder)["difference"]) == {0}


def test_the_run_without_replay_is_compared_on_what_it_never_saw(whole: Written) -> None:
    frame = training_questions.forgetting(whole.folder)
    changes = {(row["run"], row["set"]): row["delta"] for row in frame.iter_rows(named=True)}
    assert changes["guarded", "general"] == pytest.approx(0.02)
    assert changes["no-replay", "general"] == pytest.approx(0.19)
    roles = {(row["run"], row["set"]): row["role"] for row in frame.iter_rows(named=True)}
    assert roles["no-replay", "general"] == "replay"  # its own plan does not name the set


def test_a_whole_workspace_adds_up(whole: Written) -> None:
    audit = ask(whole.folder)
    assert [check for check in audit.checks if not check.passed] == []
    assert audit.missing == []
    assert {"ledger of notes", "dataset of notes", "token store notes/train", "quotas of plan/", "stores of plan/"} <= {
        check.name for check in audit.checks
    }


def test_a_corpus_alone_names_the_commands_that_are_still_to_run(tmp_path: Path) -> None:
    written = write_corpus(tmp_path / "half", sources=("notes",), documents=12)
    audit = ask(written.folder)
    assert audit.passed
    assert [(part.part, part.command) for part in audit.missing] == [
        ("mixture plan", "make mix"),
        ("training runs", "make train"),
    ]
    assert audit.frames["mixture"].height == audit.frames["losses"].height == 0


def test_an_empty_folder_is_audited_and_no_folder_is_refused(tmp_path: Path) -> None:
    assert len(missing(tmp_path)) == 4
    assert ask(tmp_path).checks == []
    with pytest.raises(ArtifactError, match="no such workspace"):
        ask(tmp_path / "nothing")


def failed(workspace: Path) -> dict[str, str]:
    return {check.name: check.detail for check in verify(workspace) if not check.passed}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "w", sources=("notes", "general"), documents=20)
    write_plan(tmp_path / "w", {"notes": 0.5, "general": 0.5}, steps=6)
    write_run(tmp_path / "w", "first")
    return tmp_path / "w"


def test_one_altered_byte_fails_the_hashes_and_nothing_stops_the_other_checks(workspace: Path) -> None:
    assert failed(workspace) == {}
    shard = workspace / "tokens" / "notes" / "train" / "00000.ds"
    body = bytearray(shard.read_bytes())
    body[10] ^= 1
    shard.write_bytes(body)
    assert set(failed(workspace)) == {"files of tokens/"}
    assert len(verify(workspace)) > 8


def test_a_lost_ledger_row_is_found_from_the_readers_count_and_the_dataset(workspace: Path) -> None:
    import pyarrow.parquet as pq

    path = workspace / "corpus" / "ledger" / "notes" / "00000.parquet"
    table = pq.read_table(path)
    kept = table["fate"].to_pylist().index("kept")
    pq.write_table(table.take([row for row in range(table.num_rows) if row != kept]), path)
    assert {"files of corpus/", "ledger of notes", "dataset of notes"} <= set(failed(workspace))
    assert "19 rows for 20 input records" in failed(workspace)["ledger of notes"]


def test_one_token_too_many_in_training_is_named_by_source(workspace: Path) -> None:
    path = workspace / "runs" / "first" / "metrics.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    step = next(event for event in events if event["event"] == "step" and event["step"] == 3)
    step["source_tokens"]["notes"] += 1
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert set(failed(workspace)) == {"tokens of run first"}
    assert "notes +1" in failed(workspace)["tokens of run first"]


def test_a_run_of_another_plan_is_not_passed_off_as_this_one(workspace: Path) -> None:
    write_plan(workspace, {"notes": 0.25, "general": 0.75}, steps=6)
    assert "the plan it followed is not here" in failed(workspace)["tokens of run first"]
    assert training_questions.mixture(workspace)["difference"].to_list() == [None, None]


def test_a_run_stopped_on_the_way_is_measured_against_the_steps_it_did(workspace: Path) -> None:
    path = workspace / "runs" / "first" / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    cut = next(index for index, line in enumerate(lines) if '"step": 4' in line and '"event": "step"' in line)
    path.write_text("".join(lines[:cut]) + lines[cut][:40])  # a line without its end, as a kill leaves it
    assert failed(workspace) == {}
    assert training_questions.mixture(workspace)["realised_tokens"].sum() == 3 * BATCH * SEQUENCE


def test_a_damaged_line_in_the_middle_of_the_metrics_is_an_error_with_its_number(workspace: Path) -> None:
    path = workspace / "runs" / "first" / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "{broken\n", *lines[1:]]))
    with pytest.raises(ArtifactError, match="unreadable line of metrics") as caught:
        read_events(path)
    assert str(caught.value.where).endswith("metrics.jsonl:2")
    assert any(not check.passed for check in verify(workspace))
