from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn.functional import cross_entropy  # noqa: E402

from mixing.batch import IGNORE  # noqa: E402
from trainer.head.divergence import (  # noqa: E402
    HiddenReference,
    LogitsReference,
    Reference,
    TopReference,
    top_and_rest,
)
from trainer.head.fused import KlTerm, head_loss, logits_loss  # noqa: E402

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


@dataclass(frozen=True)
class Case:
    """What hypothesis draws: sizes, the share of padding, which tokens carry KL and how."""

    seed: int
    tokens: int
    chunk: int
    padded: float
    held: float
    kind: str
    direction: str
    k: int
    z_loss: float


cases = st.builds(
    Case,
    seed=st.integers(0, 10_000),
    tokens=st.integers(1, 40),
    chunk=st.integers(1, 45),
    padded=st.sampled_from([0.0, 0.3, 1.0]),
    held=st.sampled_from([0.0, 0.5, 1.0]),
    kind=st.sampled_from(["none", "hidden", "logits", "top"]),
    direction=st.sampled_from(["forward", "reverse"]),
    k=st.integers(1, VOCABULARY - 1),
    z_loss=st.sampled_from([0.0, 1e-4, 0.3]),
)


class Drawn:
    """A case's tensors, its loss by the head and, written down plainly, by autograd."""

    def __init__(self, case: Case) -> None:
        self.case = case
        generator = torch.Generator().manual_seed(case.seed)

        def normal(*shape: int) -> "torch.Tensor":
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        def uniform(size: int) -> "torch.Tensor":
            return torch.rand(size, generator=generator, dtype=torch.float64)

        self.hidden, self.weight = normal(case.tokens, WIDTH).requires_grad_(), normal(VOCABULARY, WIDTH)
        self.weight.requires_grad_()
        self.labels = torch.randint(0, VOCABULARY, (case.tokens,), generator=generator)
        self.labels[uniform(case.tokens) < case.padded] = IGNORE
        self.ce_weights, self.kl_weights = uniform(case.tokens), uniform(case.tokens)
        held = (uniform(case.tokens) < case.held).nonzero().squeeze(1)
        self.held = held[torch.randperm(len(held), generator=generator)]
        self.other_hidden, self.other_weight = normal(case.tokens, WIDTH), normal(VOCABULARY, WIDTH)
        self.other = self.other_hidden @ self.other_weight.T

    def term(self, rows: "torch.Tensor", held: "torch.Tensor") -> KlTerm | None:
        """The KL term of `rows`, of which `held` (places among all tokens) carry it."""
        kind = self.case.kind
        if kind == "none":
            return None
        if kind == "hidden":
            reference: Reference = HiddenReference(self.other_hidden[held], self.other_weight)
        elif kind == "logits":
            reference = LogitsReference(self.other[held].clone())
        else:
            reference = TopReference(*top_and_rest(self.other[held], self.case.k))
        places = torch.tensor([int((rows == token).nonzero()) for token in held], dtype=torch.int64)
        return KlTerm(places, reference, self.kl_weights[held], self.case.direction)  # type: ignore[arg-type]

    def by_head(self, rows: "torch.Tensor", *, from_logits: bool = False) -> "torch.Tensor":
        held = self.held[torch.isin(self.held, rows)]
        given_ = self.labels[rows], self.ce_weights[rows], self.term(rows, held)
        if from_logits:
            return logits_loss(self.hidden[rows] @ self.weight.T, *given_, z_loss=self.case.z_loss).loss
        hidden = self.hidden[rows]
        return head_loss(hidden, self.weight, *given_, chunk=self.case.chunk, z_loss=self.case.z_loss).loss

    def by_autograd(self) -> "torch.Tensor":
        logits = self.hidden @ self.weight.T
        ce = cross_entropy(logits, self.labels, ignore_index=IGNORE, reduction="none")
        z = torch.where(self.labels == IGNORE, 0, logits.logsumexp(1).square())
        loss = ((ce + self.case.z_loss * z) * self.ce_weights).sum()
        if self.case.kind == "none":
            return loss
        p, q = logits[self.held].softmax(1), self.other[self.held].softmax(1)
        if self.case.kind == "top":
            ids = self.other[self.held].topk(self.case.k, dim=1).indices
            outside = torch.ones_like(q).scatter(1, ids, 0)
            p, q = (torch.cat([x.gather(1, ids), (x * outside).sum(1, keepdim=True)], 1) for x in (p, q))
        first, second = (q, p) if self.case.direction == "forward" else (p, q)
        return loss + ((first * (first.log() - second.log())).sum(1) * self.kl_weights[self.held]).sum()


@settings(max_examples=150, deadline=None)
@given(cases)
def test_gradients_are_those_of_autograd_for_any_chunk_padding_reference_and_batch_split(case: Case) -> None:
    drawn = Drawn(case)
    leaves = [drawn.hidden, drawn.weight]
    wanted = drawn.by_autograd()
    want = torch.autograd.grad(wanted, leaves)
    everything = torch.arange(case.tokens)
    cut = case.seed % (case.tokens + 1)
    parts = [part for part in (everything[:cut], everything[cut:]) if len(part)]
    losses = [
        [drawn.by_head(everything)],
        [drawn.by_head(part) for part in parts],
        [drawn.by_head(everything, from_logits=True)],
    ]
    # The tail of a cached top-k is one minus a sum: what that rounds away is divided by a tail that may be tiny.
    allowed = 1e-11 if case.kind == "top" else 1e-12
    for found in losses:
        total = torch.stack(found).sum()
        have = torch.autograd.grad(total, leaves)
        assert abs(total.item() - wanted.item()) <= 1e-12 * max(1, abs(wanted.item()))
        for one, other in zip(have, want, strict=True):
            assert float((one - other).abs().max()) <= allowed


def test_the_coarse_divergence_is_below_the_full_one_and_reaches_it_when_every_token_is_kept() -> None:
    drawn = Drawn(Case(3, 12, 5, 0.0, 1.0, "top", "forward", VOCABULARY - 1, 0.0))
    full = drawn.other.softmax(1)
    full = (full * (full.log() - (drawn.hidden @ drawn.weight.T).log_softmax(1))).sum(1)
    previous = torch.zeros_like(full)
    for k in (1, 4, VOCABULARY - 1):
        reference = TopReference(*top_and_rest(drawn.other, k))
        term = KlTerm(torch.arange(12), reference, torch.ones(12, dtype=torch.float64), "forward")
        kl = head_loss(drawn.hidden, drawn.weight, drawn.labels, drawn.ce_weights, term).kl
        assert bool((kl <= full + 1e-12).all()) and bool((kl >= previous - 1e-12).all())
        previous = kl
    assert torch.allclose(previous, full, rtol=0, atol=1e-12)
