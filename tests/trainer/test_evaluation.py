import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_training import LENGTH, FakeLoader, FakePlan  # noqa: E402

from corpus.tokens.store import TokenStore  # noqa: E402
from trainer.evaluation.evaluate import pack_evaluation, paired_delta, score  # noqa: E402
from trainer.model.packed import PackedModel, check_head, check_isolation, load_causal  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def model(model_folder: Path) -> PackedModel:
    return PackedModel(load_causal(model_folder, "sdpa"), precision="fp32", chunk=7).eval()


@pytest.mark.parametrize("length", [4, LENGTH, 64])
def test_every_token_but_the_first_is_predicted_once_and_bytes_are_the_documents_own(
    evaluation: dict[str, TokenStore], length: int
) -> None:
    store = evaluation["domain"]
    rows = pack_evaluation("domain", store, 10**9, length)
    assert rows.tokens == store.tokens - len(store.ends)
    assert rows.document_bytes.sum() == store.manifest.totals["bytes"]
    predicted = rows.labels >= 0
    starts = np.concatenate([[0], store.ends[:-1]])
    for document, (start, end) in enumerate(zip(starts, store.ends, strict=True)):
        mine = predicted & (rows.documents == document)
        assert rows.labels[mine].tolist() == store.read(int(start) + 1, int(end)).tolist()


def test_nats_are_those_of_each_document_alone(evaluation: dict[str, TokenStore], model: PackedModel) -> None:
    store = evaluation["domain"]
    rows = pack_evaluation("domain", store, 200, 64)
    found = score(model, rows, batch=2, device=torch.device("cpu"))
    starts = np.concatenate([[0], store.ends[:-1]])
    for document, nats in enumerate(found.nats):
        tokens = torch.from_numpy(store.read(int(starts[document]), int(store.ends[document])))
        with torch.no_grad():
            logits = model.causal(input_ids=tokens[None, :-1], use_cache=False).logits[0]
        assert nats == pytest.approx(
            float(torch.nn.functional.cross_entropy(logits, tokens[1:], reduction="sum")), rel=1e-5
        )
    assert found.perplexity == pytest.approx(math.exp(found.nats.sum() / found.tokens))
    assert found.bits_per_byte == pytest.approx(found.nats.sum() / math.log(2) / found.bytes)


def test_ranks_share_the_rows_and_their_sum_is_the_whole(evaluation: dict[str, TokenStore], model: PackedModel) -> None:
    rows = pack_evaluation("domain", evaluation["domain"], 10**9, LENGTH)
    device = torch.device("cpu")
    whole = score(model, rows, batch=2, device=device)
    parts = [score(model, rows, batch=2, device=device, rank=rank, world_size=3).nats for rank in range(3)]
    assert np.allclose(sum(parts), whole.nats, rtol=1e-12)


def test_the_standard_error_is_that_of_paired_documents() -> None:
    # Equal bytes: the ratio estimator is the mean of paired differences, its error s/√n.
    before = np.array([3.0, 5.0, 4.0, 8.0])
    now = before + np.array([0.1, 0.3, -0.2, 0.2]) * math.log(2)
    delta, error = paired_delta(now, before, np.array([10, 10, 10, 10]))
    per_byte = np.array([0.01, 0.03, -0.02, 0.02])
    assert delta == pytest.approx(per_byte.mean())
    assert error == pytest.approx(per_byte.std(ddof=1) / 2)


def test_a_single_document_has_no_standard_error(tmp_path: Path) -> None:
    delta, error = paired_delta(np.array([3.0]), np.array([2.0]), np.array([10]))
    assert delta == pytest.approx(0.1 / math.log(2)) and error is None
    from pipelines.report.numbers import paired

    assert paired(delta, error) == "+0.1443 ± not available"
    assert paired(0.1, 0.01) == "+0.1000 ± 0.0100" and paired(None, None) == "–"


def test_a_packed_document_gets_the_logits_it_gets_alone(model: PackedModel) -> None:
    batch = FakeLoader(FakePlan()).batch(0)
    row = 0
    second = batch.document_ids[row] == 1
    with torch.no_grad():
        packed = model.decode(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.position_ids))[row, second]
        alone = model.decode(
            torch.from_numpy(batch.input_ids[row : row + 1, second]),
            torch.from_numpy(batch.position_ids[row : row + 1, second]),
        )[0]
    assert float((packed - alone).abs().max()) < 1e-5


def test_the_leak_check_passes_here_and_catches_attention_across_documents(model: PackedModel) -> None:
    device = torch.device("cpu")
    assert check_isolation(model, device) == 0
    assert check_head(model, device) < 1e-5

    from leaking_model import Leaking

    from corpus.errors import TrainingError

    with pytest.raises(TrainingError, match="see each other"):
        check_isolation(Leaking(model.causal, precision="fp32", chunk=7), device)
