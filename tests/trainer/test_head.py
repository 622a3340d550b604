import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import cross_entropy  # noqa: E402

from mixing.batch import IGNORE  # noqa: E402
from trainer.divergence import HiddenReference
from trainer.head import KlTerm, head_loss  # noqa: E402

pytestmark = pytest.mark.slow
TOKENS, WIDTH, VOCABULARY = 23, 7, 19


def inputs(seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> "torch.Tensor":
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    labels = torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)
    labels[::4] = IGNORE
    return {
        "hidden": normal(TOKENS, WIDTH).requires_grad_(),
        "weight": normal(VOCABULARY, WIDTH).requires_grad_(),
        "labels": labels,
        "ce_weights": normal(TOKENS).abs(),
        "held": torch.randperm(TOKENS, generator=generator)[:9],
        "reference_hidden": normal(9, WIDTH),
        "reference_weight": normal(VOCABULARY, WIDTH),
        "kl_weights": normal(9).abs(),
    }


def by_autograd(given: dict, direction: str | None) -> "torch.Tensor":
    logits = given["hidden"] @ given["weight"].T
    labels = given["labels"]
    loss = (cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none") * given["ce_weights"]).sum()
    if direction is None:
        return loss
    log_p = logits[given["held"]].log_softmax(1)
    log_q = (given["reference_hidden"] @ given["reference_weight"].T).log_softmax(1)
    first, second = (log_q, log_p) if direction == "forward" else (log_p, log_q)
    return loss + ((first.exp() * (first - second)).sum(1) * given["kl_weights"]).sum()


def by_head(given: dict, direction: str | None, chunk: int) -> "torch.Tensor":
    kl = None
    if direction is not None:
        reference = HiddenReference(given["reference_hidden"], given["reference_weight"])
        kl = KlTerm(given["held"], reference, given["kl_weights"], direction)
    return head_loss(given["hidden"], given["weight"], given["labels"], given["ce_weights"], kl, chunk=chunk).loss


@pytest.mark.parametrize("direction", [None, "forward", "reverse"])
@pytest.mark.parametrize("chunk", [1, 4, 9, 23, 1000])
def test_loss_and_gradients_are_those_of_autograd_at_any_chunk_size(direction: str | None, chunk: int) -> None:
    given = inputs()
    wanted = by_autograd(given, direction)
    want = torch.autograd.grad(wanted * 1.7, [given["hidden"], given["weight"]])
    found = by_head(given, direction, chunk)
    have = torch.autograd.grad(found * 1.7, [given["hidden"], given["weight"]])
    assert abs(found.item() - wanted.item()) <= 1e-12 * abs(wanted.item())
    for one, other in zip(have, want, strict=True):
        assert float((one - other).abs().max()) <= 1e-12


def test_nats_per_token_are_given_and_nothing_is_computed_for_ignored_tokens() -> None:
    given = inputs()
    result = head_loss(given["hidden"], given["weight"], given["labels"], given["ce_weights"], chunk=5)
    logits = given["hidden"] @ given["weight"].T
    wanted = cross_entropy(logits, given["labels"], ignore_index=IGNORE, reduction="none")
    assert torch.allclose(result.ce, wanted, rtol=0, atol=1e-12)
    assert not result.ce.requires_grad


def test_a_row_of_ignored_labels_has_no_loss_and_no_gradient() -> None:
    given = inputs()
    given["labels"] = torch.full((TOKENS,), IGNORE)
    found = by_head(given, None, 4)
    gradient = torch.autograd.grad(found, [given["hidden"]])[0]
    assert found.item() == 0 and not gradient.any()


def test_a_tied_embedding_collects_both_gradients() -> None:
    given = inputs()
    tokens = torch.arange(TOKENS) % VOCABULARY
    weight = given["weight"]

    def total(loss_of: object) -> "torch.Tensor":
        tied = given | {"hidden": weight[tokens] * 0.5}
        return torch.autograd.grad(loss_of(tied), [weight])[0]  # type: ignore[operator]

    difference = total(lambda tied: by_head(tied, None, 6)) - total(lambda tied: by_autograd(tied, None))
    assert float(difference.abs().max()) <= 1e-12


def test_under_bf16_autocast_gradients_stay_float32_and_near_the_exact_ones() -> None:
    given = inputs()
    exact = torch.autograd.grad(by_autograd(given, "forward"), [given["weight"]])[0].float()
    floats = {
        key: value.detach().float().requires_grad_(value.requires_grad) if value.is_floating_point() else value
        for key, value in given.items()
    }
    with torch.autocast("cpu", torch.bfloat16):
        loss = by_head(floats, "forward", 6)
    gradient = torch.autograd.grad(loss, [floats["weight"]])[0]
    assert gradient.dtype == torch.float32
    assert float((gradient - exact).norm() / exact.norm()) < 0.03
