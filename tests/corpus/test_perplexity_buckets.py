"""Head, middle and tail: against numbers worked out by hand and numpy's percentiles, and stored by the whole line."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.perplexity import BUCKET, BucketSettings, pooled, with_buckets
from corpus.perplexity.buckets import HEAD_END, MIDDLE_END

SCHEMA = {"perplexity.value": pl.Float32, "language.label": pl.String}


def documents(*rows: tuple[float | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def buckets(frame: pl.DataFrame, pool: pl.DataFrame | None = None, **stated: object) -> list[str | None]:
    settings = BucketSettings(**stated)
    return with_buckets(frame, settings.bounds(frame if pool is None else pool), settings)[BUCKET].to_list()


def test_by_hand():
    # Ten values 1 … 10: the 30th percentile is 1 + 0.3 × 9 = 3.7, the 60th 1 + 0.6 × 9 = 6.4.
    frame = documents(*((value, "en") for value in range(1, 11)))
    found = with_buckets(frame, BucketSettings().bounds(frame), BucketSettings())
    assert found[BUCKET].to_list() == ["head"] * 3 + ["middle"] * 3 + ["tail"] * 4
    assert found[HEAD_END].to_list() == pytest.approx([3.7] * 10)
    assert found[MIDDLE_END].to_list() == pytest.approx([6.4] * 10)


def test_each_language_has_its_own_bounds_and_no_language_is_one():
    rows = [
        *((v, "en") for v in (1, 2, 3, 4, 5)),
        *((v, "de") for v in (100, 200, 300, 400, 500)),
        (7, None),
        (9, None),
    ]
    halves = {"head": 0.25, "middle": 0.5}
    each = ["head", "head", "middle", "tail", "tail"]
    assert buckets(documents(*rows), **halves) == [*each, *each, "head", "tail"]
    # All together: 1 2 3 4 5 7 9 100 …, of twelve, the 25th percentile at place 2.75 is 3.75, the 50th at 5.5 is 8.
    together = buckets(documents(*rows), **halves, per_language=False)
    assert together == ["head"] * 3 + ["middle"] * 2 + ["tail"] * 5 + ["middle", "tail"]


def test_a_language_may_state_its_own_ends_and_bounds_may_be_perplexities():
    frame = documents(
        *((v, "en") for v in (1, 2, 3, 4, 5)), *((v, "de") for v in (100, 200, 300, 400, 500)), (None, "de")
    )
    own = buckets(frame, head=0.25, middle=0.5, by_language={"de": (0.5, 0.75)})
    assert own == ["head", "head", "middle", "tail", "tail", "head", "head", "head", "middle", "tail", None]
    bounds = buckets(frame, by="value", head=2, middle=4, by_language={"de": (100, 450)})
    assert bounds == ["head", "head", "middle", "middle", "tail", "head", "middle", "middle", "middle", "tail", None]


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.tuples(st.none() | st.floats(1, 1e6, width=32), st.sampled_from(["en", "de", None])), min_size=1, max_size=60
    ),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
    st.randoms(),
)
def test_percentiles_are_numpys_in_any_order(rows, one, other, random):
    head, middle = sorted((one, other))
    settings = BucketSettings(head=head, middle=middle)
    frame = with_buckets(documents(*rows), settings.bounds(documents(*rows)), settings)
    for (value, language), row in zip(rows, frame.iter_rows(named=True), strict=True):
        own = np.array([v for v, label in rows if label == language and v is not None], dtype=np.float64)
        if value is None:
            assert row[BUCKET] is None
            continue
        ends = np.percentile(own, [head * 100, middle * 100])
        assert (row[HEAD_END], row[MIDDLE_END]) == pytest.approx(tuple(ends), rel=1e-9)
        expected = "head" if value <= ends[0] else "middle" if value <= ends[1] else "tail"
        near = np.isclose(value, ends, rtol=1e-9).any()  # at a bound the last digit decides
        assert row[BUCKET] == expected or near
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = buckets(documents(*(rows[i] for i in order)), head=head, middle=middle)
    assert shuffled == [frame[BUCKET][i] for i in order]


def test_over_the_corpus_sources_of_one_model_are_taken_together():
    frames = {name: documents(*((v, "en") for v in values)) for name, values in
              {"a": (1, 2, 3), "b": (4, 5, 6), "other": (1000, 2000, 3000)}.items()}  # fmt: skip
    models = {"a": "english", "b": "english", "other": "papers"}
    corpus = BucketSettings(over="corpus", head=0.4, middle=0.6)  # of 1 … 6: 3 and 4

    def found(name: str, stated: BucketSettings) -> list[str | None]:
        return with_buckets(frames[name], stated.bounds(pooled(frames, models, stated, name)), stated)[BUCKET].to_list()

    assert [found(name, corpus) for name in ("a", "b")] == [["head"] * 3, ["middle", "tail", "tail"]]
    # Of 1000, 2000, 3000 the ends are 1800 and 2200: those of the source alone.
    assert found("other", corpus) == found("other", BucketSettings(head=0.4, middle=0.6)) == ["head", "middle", "tail"]


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ({"head": 0.7, "middle": 0.6}, "head ends above middle"),
        ({"middle": 60}, "between 0 and 1"),
        ({"by": "value", "head": 300, "middle": 200}, "head ends above middle"),
        ({"by_language": {"de": (0.9, 0.1)}}, "head ends above middle"),
        ({"by_language": {"de": (0.1, 0.9)}, "per_language": False}, "needs per_language"),
    ],
)
def test_buckets_out_of_order_are_refused(stated, fault):
    with pytest.raises(ValueError, match=fault):
        BucketSettings(**stated)
