import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from trainer.head.fused import sample_labels  # noqa: E402
from trainer.regularizers.anchor import Anchor  # noqa: E402
from trainer.regularizers.ewc import diagonal_fisher  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("batch", [8, 32, 128])
def test_fisher_of_softmax_regression_is_the_closed_form_at_any_batch_size(batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2048, 3, generator=generator)
    model = nn.Linear(3, 5, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.randn(5, 3, generator=generator))
    # F[k, d] = E_x p_k (1 − p_k) x_d²
    p = (inputs @ model.weight.T).softmax(1).detach()
    exact = ((p * (1 - p))[:, :, None] * inputs[:, None, :].square()).mean(0)
    named = list(model.named_parameters())

    def losses() -> object:
        for _ in range(30 * max(1, batch // 32)):
            for part in inputs.split(batch):
                labels = sample_labels(part, model.weight, generator, 1000)

                def loss(part: "torch.Tensor" = part, labels: "torch.Tensor" = labels) -> "torch.Tensor":
                    return nn.functional.cross_entropy(model(part), labels, reduction="sum")

                yield loss, len(part)

    found = diagonal_fisher(model, losses(), named)["weight"]  # type: ignore[arg-type]
    assert abs(float(found.sum() / exact.sum()) - 1) < 0.05
    assert float((found - exact).abs().sum() / exact.sum()) < 0.1


def test_ewc_ends_at_the_optimum_of_a_quadratic() -> None:
    # Loss (θ−c)ᵀA(θ−c)/2 with penalty λ/2 Σ F(θ−θ*)²: the minimum is (A+λF)⁻¹(Ac+λFθ*).
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    curvature = root @ root.T / 6 + torch.eye(6, dtype=torch.float64)
    goal, start = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    fisher, strength = torch.rand(6, generator=generator, dtype=torch.float64) * 4, 2.5
    theta = nn.Parameter(start.clone())
    anchor = Anchor(strength, {"theta": start}, {"theta": fisher})
    rate = 0.05
    for _ in range(3000):
        gradient = curvature @ (theta.detach() - goal)
        with torch.no_grad():
            theta -= rate * gradient
        penalty = anchor.after_step({"theta": theta}, rate)
    pulled = curvature + strength * torch.diag(fisher)
    wanted = torch.linalg.solve(pulled, curvature @ goal + strength * fisher * start)
    assert torch.allclose(theta.detach(), wanted, rtol=0, atol=1e-10)
    assert penalty == pytest.approx(float(strength / 2 * (fisher * (wanted - start).square()).sum()), rel=1e-8)


def test_l2sp_is_the_prox_with_unit_importance() -> None:
    theta = nn.Parameter(torch.tensor([3.0, -1.0], dtype=torch.float64))
    start = torch.tensor([1.0, 1.0], dtype=torch.float64)
    Anchor(2.0, {"theta": start}, None).after_step({"theta": theta}, 0.25)
    # a = 0.5: (θ + 0.5 θ*)/1.5
    assert theta.tolist() == pytest.approx([3.5 / 1.5, -0.5 / 1.5])


@pytest.mark.parametrize("batch", [8, 32, 128])
def test_fisher_of_a_linear_gaussian_model_is_the_closed_form_at_any_batch_size(batch: int) -> None:
    # y ∼ N(Wx, σ²): F[k, d] = E x_d² / σ², whatever W and y are.
    generator = torch.Generator().manual_seed(2)
    inputs, sigma = torch.randn(2048, 3, generator=generator) * torch.tensor([0.5, 1.0, 2.0]), 0.7
    model = nn.Linear(3, 4, bias=False)
    exact = inputs.square().mean(0).expand(4, 3) / sigma**2

    def losses() -> object:
        for _ in range(30 * max(1, batch // 32)):
            for part in inputs.split(batch):
                drawn = model(part).detach() + sigma * torch.randn(len(part), 4, generator=generator)

                def loss(part: "torch.Tensor" = part, drawn: "torch.Tensor" = drawn) -> "torch.Tensor":
                    return (drawn - model(part)).square().sum() / (2 * sigma**2)

                yield loss, len(part)

    found = diagonal_fisher(model, losses(), list(model.named_parameters()))["weight"]  # type: ignore[arg-type]
    assert abs(float(found.sum() / exact.sum()) - 1) < 0.05
    assert float((found - exact).abs().sum() / exact.sum()) < 0.1


def test_ewc_as_a_loss_ends_at_the_same_optimum_as_the_prox() -> None:
    start, fisher = torch.zeros(3, dtype=torch.float64), torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    goal = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    theta = nn.Parameter(start.clone())
    anchor = Anchor(2.0, {"theta": start}, {"theta": fisher}, "loss")
    for _ in range(2000):
        theta.grad = theta.detach() - goal
        anchor.on_gradients({"theta": theta})
        with torch.no_grad():
            theta -= 0.05 * theta.grad
        anchor.after_step({"theta": theta}, 0.05)
    assert torch.allclose(theta.detach(), goal / (1 + 2.0 * fisher), atol=1e-10)


def test_slerp_keeps_the_length_and_both_methods_keep_their_ends() -> None:
    from trainer.checkpoints.merge import interpolate

    one, other = torch.eye(4)[0] * 3, torch.eye(4)[1] * 3
    assert float(interpolate(one, other, 0.3, "slerp").norm()) == pytest.approx(3)
    assert float(interpolate(one, other, 0.5, "lerp").norm()) == pytest.approx(3 / 2**0.5)
    for method in ("lerp", "slerp"):
        assert torch.allclose(interpolate(one, other, 1.0, method), other, atol=1e-6)  # type: ignore[arg-type]
        assert torch.equal(interpolate(one, one, 0.4, method), one)  # type: ignore[arg-type]
