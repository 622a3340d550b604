"""Token statistics against plain counting and numpy's percentiles."""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.artifact import write_parquet
from corpus.errors import ArtifactError
from corpus.ledger import LEDGER
from corpus.tokens import counts as token_counts
from corpus.tokens.counts import count_tokens


def record(number: int, source: str, language: str | None, fate: str, size: int, tokens: int | None) -> dict:
    kept = fate == "kept"
    return dict.fromkeys(LEDGER.names) | {
        "id": f"{number:032x}",
        "source": source,
        "file": "f",
        "position": number,
        "fate": fate,
        "language": language,
        "bytes_in": size + 7,
        "bytes_out": size if kept else 0,
        "tokens_in": tokens,
        "tokens_out": tokens or 0 if kept else 0,
    }


def write(folder, rows: list[dict], parts: int = 2) -> list:
    paths = [folder / f"{part}.parquet" for part in range(parts)]
    for part, path in enumerate(paths):
        write_parquet(path, pa.Table.from_pylist(rows[part::parts], LEDGER), LEDGER)
    return paths


records = st.lists(
    st.tuples(
        st.sampled_from(["notes", "web"]),
        st.sampled_from(["en", "de", None]),
        st.sampled_from(["kept", "dropped", "quarantined"]),
        st.integers(0, 70),
        st.integers(0, 40) | st.integers(0, 1 << 40),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=60)
@given(records, st.booleans())
def test_every_document_byte_and_token_is_counted_once(tmp_path_factory, drawn, merge_often):
    rows = [
        record(i, source, language, fate, size, None if fate == "quarantined" else tokens)
        for i, (source, language, fate, size, tokens) in enumerate(drawn)
    ]
    expected: dict[tuple, Counter] = defaultdict(Counter)
    lengths: dict[tuple, list[int]] = defaultdict(list)
    for row in rows:
        group = expected[row["source"], row["language"], row["fate"]]
        group["documents"] += 1
        group["bytes_in"] += row["bytes_in"]
        group["bytes"] += row["bytes_out"] if row["fate"] == "kept" else row["bytes_in"]
        group["tokens"] += row["tokens_in"] or 0
        group["uncounted"] += row["tokens_in"] is None
        if row["tokens_in"] is not None:
            lengths[row["source"], row["language"], row["fate"]].append(row["tokens_in"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_counts, "_MERGE", 1 if merge_often else 64)
        patch.setattr(token_counts, "_ROWS", 5 if merge_often else 1 << 16)
        counts = count_tokens(write(tmp_path_factory.mktemp("ledger"), rows))
    found = {(row["source"], row["language"], row["fate"]): row for row in counts.totals.iter_rows(named=True)}
    assert {key: {n: row[n] for n in sorted(expected[key])} for key, row in found.items()} == {
        key: dict(sorted(group.items())) for key, group in expected.items()
    }
    for row in counts.percentiles().iter_rows(named=True):
        values = lengths.pop((row["source"], row["language"], row["fate"]))
        for name, share in (("p1", 1), ("p5", 5), ("p25", 25), ("p50", 50), ("p75", 75), ("p95", 95), ("p99", 99)):
            assert row[name] == np.percentile(values, share, method="inverted_cdf")
        assert (row["shortest"], row["longest"], row["documents"]) == (min(values), max(values), len(values))
        assert row["mean"] == pytest.approx(np.mean(values))
    assert not lengths
    for measure in ("tokens", "bytes"):
        histogram = counts.histogram(measure)
        assert sum(histogram["total"]) == sum(group[measure] for group in expected.values())
        bins = zip(histogram["low"], histogram["high"], strict=True)
        assert all((low, high) == (0, 1) or (high == 2 * low and low & (low - 1) == 0) for low, high in bins)


def test_bins_double_and_start_at_a_power_of_two(tmp_path):
    edges = [0, 1, 2, 3, 4, 7, 8, (1 << 29) - 1, 1 << 29, (1 << 49) - 1, 1 << 49]
    rows = [record(i, "s", "en", "kept", 1, tokens) for i, tokens in enumerate(edges)]
    histogram = count_tokens(write(tmp_path, rows)).histogram()
    assert list(zip(histogram["low"], histogram["documents"], strict=True)) == [
        (0, 1), (1, 1), (2, 2), (4, 2), (8, 1), (1 << 28, 1), (1 << 29, 1), (1 << 48, 1), (1 << 49, 1)
    ]  # fmt: skip
    assert histogram.filter(histogram["low"] == 2)["total"].item() == 5


def test_a_column_of_the_ledger_groups_and_an_empty_ledger_counts_nothing(tmp_path):
    rows = [record(i, "s", "en", "kept", 1, i) for i in range(4)]
    for row, bucket in zip(rows, ("head", "tail", "head", None), strict=True):
        row["perplexity_bucket"] = bucket
    by_bucket = count_tokens(write(tmp_path, rows), ("perplexity_bucket",)).totals
    assert dict(by_bucket.select("perplexity_bucket", "tokens").iter_rows()) == {None: 3, "head": 2, "tail": 1}
    for paths in ([], write(tmp_path, [], 1)):
        none = count_tokens(paths)
        assert none.totals.is_empty() and none.histogram().is_empty() and none.percentiles("bytes").is_empty()


def test_a_damaged_ledger_is_refused_and_so_is_an_unknown_measure(tmp_path):
    (path,) = write(tmp_path, [record(0, "s", "en", "kept", 1, 1)], 1)
    with pytest.raises(ValueError, match="tokens or bytes"):
        count_tokens([path]).histogram("words")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="damaged parquet"):
        count_tokens([path])
