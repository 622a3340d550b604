"""The forecast of tokens: exact where all is read; its interval holds the truth as often as it says."""

import json
from math import inf
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import t

from corpus.annotate import SourceLine
from corpus.forecast import FileSample, forecast
from corpus.readers import JsonlSettings, ParquetSettings, make_reader
from corpus.sample import FILES, draw, share_read


def sampled(
    random: np.random.Generator, files: list[np.ndarray], most: int, part: float, count: int
) -> list[FileSample]:
    """`most` of the files, each read to `part` of it, and `count` documents drawn from what was read; a token is four
    bytes, a dropped document has none."""
    chosen = random.permutation(len(files))[:most]
    read = [files[place][: max(1, round(part * len(files[place])))] for place in chosen]
    owners = np.repeat(np.arange(most), [len(values) for values in read])
    places = np.sort(random.permutation(len(owners))[:count])
    pooled = np.concatenate(read)
    samples = []
    for index, (place, values) in enumerate(zip(chosen, read, strict=True)):
        drawn = pooled[places[owners[places] == index]]
        size = 4 * int(np.abs(files[place]).sum())
        share = float(np.abs(values).sum()) / float(np.abs(files[place]).sum())
        samples.append(FileSample(size, share, len(values), np.maximum(drawn, 0), drawn > 0))
    return samples


def corpus(random: np.random.Generator, kind: str) -> list[np.ndarray]:
    """Tokens of the documents of each file, negative for those that are dropped."""
    files = {"many small": 400, "one document each": 300, "few": 9}.get(kind, 120)
    length = {"many small": 5, "one document each": 1, "few": 300}.get(kind, 60)
    sizes = np.ones(files, np.int64) if length == 1 else random.lognormal(np.log(length), 0.6, files).astype(int) + 1
    alike = kind == "alike"
    stay = np.full(files, 0.7) if alike else random.beta(1.5, 1, files)  # the share of a file's documents that is kept
    scale = np.ones(files) if alike else random.lognormal(0, 0.5, files)
    tokens = np.ceil(np.repeat(scale, sizes) * random.lognormal(5, 0.8, sizes.sum()))
    kept = random.random(sizes.sum()) < np.repeat(stay, sizes)
    return np.split(np.where(kept, tokens, -tokens), np.cumsum(sizes)[:-1])


@pytest.mark.parametrize(
    ("kind", "most", "part", "count"),
    [
        ("files differ", 16, 0.3, 400),
        ("files differ", 16, 1.0, 100),
        ("alike", 16, 0.3, 400),
        ("many small", 140, 1.0, 100),
        ("one document each", 150, 1.0, 60),
        ("few", 9, 1.0, 200),
    ],
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(kind: str, most: int, part: float, count: int) -> None:
    random = np.random.default_rng(7)
    hits, ratios, runs = 0, [], 250
    for _ in range(runs):
        files = corpus(random, kind)
        truth = sum(float(np.maximum(values, 0).sum()) for values in files)
        total = 4 * int(sum(np.abs(values).sum() for values in files))
        found = forecast(sampled(random, files, most, part, count), len(files), total)
        hits += abs(found.tokens - truth) <= found.margin
        ratios.append(found.tokens / truth)
    assert 0.90 <= hits / runs <= 0.99, hits / runs  # 0.95 asked; three standard errors of a share are 0.04
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / runs**0.5 + 0.01


def test_what_is_read_whole_is_exact_and_one_file_of_several_says_nothing_of_the_others() -> None:
    random = np.random.default_rng(1)
    files = corpus(random, "few")
    total = 4 * int(sum(np.abs(values).sum() for values in files))
    everything = sum(map(len, files))
    found = forecast(sampled(random, files, len(files), 1.0, everything), len(files), total)
    assert found.tokens == pytest.approx(sum(np.maximum(values, 0).sum() for values in files))
    assert found.documents == pytest.approx(sum((values > 0).sum() for values in files))
    assert (found.margin, found.read_share) == (0.0, 1.0)
    one = forecast(sampled(random, files, 1, 1.0, everything), len(files), total)
    assert one.margin == inf and one.files == (1, len(files))
    nothing = forecast([], 3, 100)
    assert (nothing.tokens, nothing.margin) == (0.0, inf)


def test_the_variance_by_hand() -> None:
    """Two of four files of 100 bytes, all their documents drawn: 30 and 50 tokens."""
    samples = [FileSample(100, 1.0, 2, np.array(pair, float), np.array([True, True])) for pair in ([10, 20], [20, 30])]
    found = forecast(samples, 4, 400)
    assert found.tokens == pytest.approx(160)
    assert found.standard_error == pytest.approx((16 * 0.5 / 2 * 200) ** 0.5)  # residuals -10 and 10: s² = 200
    assert found.margin == pytest.approx(t.ppf(0.975, 1) * found.standard_error)


def test_the_budget_is_parted_among_files_and_what_is_left_goes_on(tmp_path: Path) -> None:
    for name in range(20):
        lines = [
            json.dumps({"text": f"{name:02d} {row:02d} " + "word " * 30}) for row in range(100 if name < 10 else 3)
        ]
        (tmp_path / f"{name:02d}.jsonl").write_text("\n".join(lines) + "\n")
    reader = make_reader(JsonlSettings(path=str(tmp_path)), "s")
    line = SourceLine("s", reader, ())
    sample = draw(line, 10, seed=3)
    assert sum(own.records for own in sample.read) == 500 and len(sample.drawn) == 10
    assert FILES <= len(sample.read) <= 20
    assert max(own.records for own in sample.read) < 100
    for own in sample.read:
        assert share_read(line, own) == pytest.approx(own.records / (100 if own.file.bytes > 1000 else 3), rel=0.05)
    everything = draw(line, 2000, seed=3)
    assert len(everything.drawn) == 1030 and all(own.whole for own in everything.read)
    assert [d.id for d, _ in draw(line, 10, seed=3).drawn] == [d.id for d, _ in sample.drawn]


def test_the_share_of_a_compressed_parquet_file_is_that_of_its_rows(tmp_path: Path) -> None:
    for name in range(3):
        table = pa.table({"text": ["the same words again and again " * 20] * 1000})
        pq.write_table(table, tmp_path / f"{name}.parquet", compression="zstd")
    line = SourceLine("s", make_reader(ParquetSettings(path=str(tmp_path)), "s"), ())
    sample = draw(line, 6, seed=1)
    assert [share_read(line, own) for own in sample.read] == [0.1, 0.1, 0.1]
