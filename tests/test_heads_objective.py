"""Scores, hinge objectives and the orthogonal penalty against loops over samples and outputs."""

import pytest
import torch
from torch import Tensor, nn

from vidgan.models.discriminator import BodySpec, DiscriminatorSpec, Head, MixedProjectionSpec, ProjectionSpec
from vidgan.models.losses import (
    ClassMarginSpec,
    HingeEachSpec,
    HingeJoinedSpec,
    ObjectiveSpec,
    RelativeHingeSpec,
    SumThenHingeSpec,
    orthogonal_penalty,
)
from vidgan.models.views import ClipSpec, DiscriminatorInput
from vidgan.nn.layers import Conv2d, Conv3d, Embedding, Linear
from vidgan.presets import preset
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment, nothing_to_mix

F64 = torch.float64
B, T, C = 3, 4, 5
LABELS = torch.tensor([2, 0, 2])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def filled(module: nn.Module, seed: int = 1) -> nn.Module:
    """The module in float64 with Gaussian parameters and exact singular vectors."""
    rng = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=rng, dtype=F64))
        for layer in module.modules():
            if "u" in dict(layer.named_buffers(recurse=False)):
                left, _, right = torch.linalg.svd(layer.weight.reshape(layer.weight.shape[0], -1))
                layer.u.copy_(left[:, 0])
                layer.v.copy_(right[0])
    return module


def scores(head: Head, h: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """r_x[b, t] = w . h[b, t] + bias and r_xy[b, t] = e(y[b]) . h[b, t], sums over channels."""
    w = head.score.weight[0] / torch.linalg.svdvals(head.score.weight)[0]
    table = head.embed.weight / torch.linalg.svdvals(head.embed.weight)[0]
    free, classy = torch.zeros(h.shape[:2], dtype=F64), torch.zeros(h.shape[:2], dtype=F64)
    for b in range(h.shape[0]):
        for t in range(h.shape[1]):
            free[b, t] = sum(w[c] * h[b, t, c] for c in range(h.shape[2])) + head.score.bias[0]
            classy[b, t] = sum(table[label[b], c] * h[b, t, c] for c in range(h.shape[2]))
    return free, classy


def test_passes_of_one_clip_have_nothing_to_mix() -> None:
    """Luc et al. 2020, Eq. 15 pairs the clips of a batch; uneven shares count by their smallest pass."""
    mixed, plain = preset("trivd-gan-fp-k600-16x64"), preset("dvd-gan-fp-k600-16x64")

    def told(experiment: Experiment, clips: int, micro: int, processes: int) -> bool:
        batch = BatchSpec(global_batch=clips, micro_batch=micro)
        training = experiment.training.replace(batch=batch)
        return nothing_to_mix(experiment.replace(training=training), processes) is not None

    assert told(mixed, 4, 1, 1)
    assert told(mixed, 3, 3, 2)  # two clips and one
    assert told(mixed, 3, 2, 1)  # two clips, then one
    assert not told(mixed, 4, 2, 2)
    assert not told(plain, 4, 1, 1)


def test_projection() -> None:
    """linear(h) + e(y) . h per frame or step (Clark et al. 2019, A.3; Du 2020, tables 3.2 and 3.3)."""
    head, h = filled(ProjectionSpec().build(C, 4)), random(B, T, C)
    free, classy = scores(head, h, LABELS)
    torch.testing.assert_close(head(h, LABELS), free + classy)


def test_mixed_projection() -> None:
    """o[b, b', t] = r_x[b, t] + sum over t' of r_xy[b', t'] (Luc et al. 2020, Eq. 15)."""
    head, h = filled(MixedProjectionSpec().build(C, 4)), random(B, T, C)
    free, classy = scores(head, h, LABELS)
    expected = torch.zeros(B, B, T, dtype=F64)
    for b in range(B):
        for other in range(B):
            for t in range(T):
                expected[b, other, t] = free[b, t] + sum(classy[other, step] for step in range(T))
    torch.testing.assert_close(head(h, LABELS), expected)


def test_mixed_projection_never_mixes_real_and_fake() -> None:
    spec = DiscriminatorSpec(
        name="clip",
        view=ClipSpec(scale=1),
        body=BodySpec(width=2, channels=(1, 2)),
        head=MixedProjectionSpec(),
    )
    discriminator = filled(spec.build(classes=3, steps=T))
    nothing = torch.zeros((B, 0), dtype=torch.int64)
    real, fake, other = (DiscriminatorInput(random(B, T, 3, 4, 4, seed=s), None, LABELS) for s in (1, 2, 3))
    on_real, on_fake = discriminator.scores([real, fake], [nothing, nothing])
    assert on_real.shape == on_fake.shape == (B, B, T)
    torch.testing.assert_close(discriminator.scores([real, other], [nothing, nothing])[0], on_real)
    torch.testing.assert_close(discriminator.scores([fake], [nothing])[0], on_fake)


@pytest.mark.parametrize("classes", [1, 4])
def test_class_margin(classes: int) -> None:
    head = filled(ProjectionSpec().build(C, classes))
    assert isinstance(head, Head)
    h, label = random(B, T, C, seed=2) / 3, LABELS % classes
    table = head.embed.weight / torch.linalg.svdvals(head.embed.weight)[0]
    short = []
    for b in range(B):
        for other in range(classes):
            if other != label[b]:
                lead = sum(float((table[label[b]] - table[other]).detach() @ h[b, t]) for t in range(T)) / T
                short.append(max(0.0, 0.75 - lead))
    expected = sum(short) / len(short) if short else 0.0
    loss = ClassMarginSpec(weight=8.0, margin=0.75).loss(head, h, label)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert classes == 1 or 0 < expected < 2


@pytest.mark.parametrize("mean_pool", [False, True])
def test_features_pass_relu_and_are_summed_over_positions(mean_pool: bool) -> None:
    """ReLU, then the sum over height and width, then the head (Luc et al. 2020, A; Du 2020, table 3.2)."""
    spec = DiscriminatorSpec(
        name="clip", view=ClipSpec(scale=1), body=BodySpec(width=2, channels=(1, 2)), mean_pool=mean_pool
    )
    discriminator = filled(spec.build(classes=3, steps=T))
    clip = random(B, T, 3, 4, 4)
    (made,) = discriminator.scores(
        [DiscriminatorInput(clip, None, LABELS)], [torch.zeros((B, 0), dtype=torch.int64)]
    )
    features = discriminator.body(clip)[-1]
    h = torch.zeros(B, T, features.shape[2], dtype=F64)
    for i in range(2):
        for j in range(2):
            h += features[..., i, j].clamp_min(0) / (4 if mean_pool else 1)
    assert features.min() < 0
    torch.testing.assert_close(made, sum(scores(discriminator.head, h, LABELS)))


def rho(x: float) -> float:
    return max(x, 0.0)


def sum_then_hinge(real: list[Tensor], fake: list[Tensor]) -> float:
    """Sum over frames or steps, one hinge per discriminator, mean over clips (Clark et al. 2019, 3.1; Du
    2020, Eq. 4.2)."""
    total = 0.0
    for on_real, on_fake in zip(real, fake, strict=True):
        clips = len(on_real)
        for b in range(clips):
            total += rho(1 - sum(on_real[b].tolist())) / clips + rho(1 + sum(on_fake[b].tolist())) / clips
    return total


def hinge_each(real: list[Tensor], fake: list[Tensor]) -> float:
    """1/D sum over d of rho(1 + D(G(z))) + rho(1 - D(x)) for each discriminator (Luc et al. 2020, Eq. 13)."""
    total = 0.0
    for on_real, on_fake in zip(real, fake, strict=True):
        reals, fakes = on_real.flatten().tolist(), on_fake.flatten().tolist()
        total += sum(rho(1 - r) + rho(1 + f) for r, f in zip(reals, fakes, strict=True)) / len(reals)
    return total


def hinge_each_summed(real: list[Tensor], fake: list[Tensor]) -> float:
    """sum over k of rho(1 - D(x_k)) + rho(1 + D(G(z)_k)), mean over clips: before Du 2020, 4.5 took the average."""
    total = 0.0
    for on_real, on_fake in zip(real, fake, strict=True):
        rows = on_real.flatten(0, -2), on_fake.flatten(0, -2)
        for r, f in zip(*(side.tolist() for side in rows), strict=True):
            total += (sum(rho(1 - v) for v in r) + sum(rho(1 + v) for v in f)) / len(rows[0])
    return total


def hinge_joined(real: list[Tensor], fake: list[Tensor]) -> float:
    """All discriminators' outputs in one list; the loss is their mean (SSW-GAN, B.1)."""
    reals = [value for discriminator in real for value in discriminator.flatten().tolist()]
    fakes = [value for discriminator in fake for value in discriminator.flatten().tolist()]
    return sum(rho(1 - r) + rho(1 + f) for r, f in zip(reals, fakes, strict=True)) / len(reals)


def outputs(seed: int, mixed: bool = False) -> list[Tensor]:
    """Scores of two discriminators that see eight frames and four steps."""
    shapes = [(B, B, 8), (B, B, 4)] if mixed else [(B, 8), (B, 4)]
    return [random(*shape, seed=seed + i).requires_grad_() for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    ("objective", "naive"),
    [
        (HingeEachSpec(), hinge_each),
        (HingeEachSpec(total=True), hinge_each_summed),
        (HingeJoinedSpec(), hinge_joined),
    ],
    ids=["each", "each, summed", "joined"],
)
def test_discriminator_loss_with_a_hinge_per_output(objective: ObjectiveSpec, naive, mixed: bool) -> None:
    real, fake = outputs(0, mixed), outputs(10, mixed)
    expected = naive(real, fake)
    assert objective.discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-12)


def test_discriminator_loss_with_a_hinge_per_discriminator() -> None:
    real, fake = outputs(0), outputs(10)
    expected = sum_then_hinge(real, fake)
    assert SumThenHingeSpec().discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-12)
    means = [[s / s.shape[-1] for s in side] for side in (real, fake)]
    made = SumThenHingeSpec(mean=True).discriminator_loss(real, fake).item()
    assert made == pytest.approx(sum_then_hinge(*means), rel=1e-12)
    kinds = (SumThenHingeSpec(), SumThenHingeSpec(mean=True), HingeEachSpec(), HingeJoinedSpec())
    losses = [kind.discriminator_loss(real, fake).item() for kind in kinds]
    assert len({round(loss, 6) for loss in losses}) == 4


@pytest.mark.parametrize("mean", [False, True])
def test_discriminator_loss_with_a_hinge_on_each_pair(mean: bool) -> None:
    real, fake = outputs(0), outputs(10)
    expected = 0.0
    for r, f in zip(real, fake, strict=True):
        for b in range(B):
            ahead = sum(r[b].tolist()) - sum(f[b].tolist())
            expected += max(0.0, 2 - (ahead / r.shape[1] if mean else ahead)) / B
    objective = RelativeHingeSpec(mean=mean)
    assert objective.discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-12)
    assert expected <= SumThenHingeSpec(mean=mean).discriminator_loss(real, fake).item()
    raised = [[s + 7 for s in side] for side in (real, fake)]  # only differences count
    assert objective.discriminator_loss(*raised).item() == pytest.approx(expected, rel=1e-12)


def test_generator_loss() -> None:
    """-E[D(G(z))], no hinge (Clark et al. 2019, 2.2; Luc et al. 2020, Eq. 14)."""
    fake = outputs(0)
    sums = [[sum(row.tolist()) for row in discriminator] for discriminator in fake]
    each = [[v for row in discriminator for v in row.tolist()] for discriminator in fake]
    joined = each[0] + each[1]
    expected = {
        SumThenHingeSpec(): -sum(sum(s) / B for s in sums),
        SumThenHingeSpec(mean=True): -sum(sum(s) / B / n for s, n in zip(sums, (8, 4), strict=True)),
        HingeEachSpec(): -sum(sum(e) / len(e) for e in each),
        HingeEachSpec(total=True): -sum(sum(e) / B for e in each),
        HingeJoinedSpec(): -sum(joined) / len(joined),
    }
    for objective, value in expected.items():
        assert objective.generator_loss(fake).item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "objective", [SumThenHingeSpec(), RelativeHingeSpec(), HingeEachSpec(), HingeJoinedSpec()], ids=repr
)
def test_signs_of_the_gradients(objective: ObjectiveSpec) -> None:
    """Discriminators raise real and lower fake scores until the margin is met; the generator raises fake
    ones always."""
    small = [torch.full((B, 8), 0.01, dtype=F64), torch.full((B, 4), 0.01, dtype=F64)]
    met = [torch.full((B, 8), 5.0, dtype=F64), torch.full((B, 4), 5.0, dtype=F64)]

    def gradients(real: list[Tensor], fake: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        real, fake = ([s.clone().requires_grad_() for s in side] for side in (real, fake))
        objective.discriminator_loss(real, fake).backward()
        return [s.grad for s in real], [s.grad for s in fake]

    on_real, on_fake = gradients(small, small)
    assert all((g < 0).all() for g in on_real)
    assert all((g > 0).all() for g in on_fake)
    on_real, on_fake = gradients(met, [-s for s in met])
    assert all((g == 0).all() for g in [*on_real, *on_fake])
    fake = [s.clone().requires_grad_() for s in [met[0], -met[1]]]
    objective.generator_loss(fake).backward()
    assert all((s.grad < 0).all() for s in fake)


def test_how_far_frames_share_a_hinge() -> None:
    """A clip whose sum has met the margin teaches SumThenHinge nothing, each lagging frame still teaches HingeEach."""
    scores = torch.tensor([[3.0, -1.0]], dtype=F64)
    for objective, expected in ((SumThenHingeSpec(), [0.0, 0.0]), (HingeEachSpec(), [0.0, -0.5])):
        real = scores.clone().requires_grad_()
        objective.discriminator_loss([real], [-scores]).backward()
        assert real.grad.tolist() == [expected]


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (SumThenHingeSpec(), 2.0),
        (SumThenHingeSpec(mean=True), 1.0),
        (HingeEachSpec(), 1.0),
        (HingeJoinedSpec(), 1.0),
    ],
    ids=repr,
)
def test_what_is_logged_of_a_discriminator_enters_its_hinge(
    objective: ObjectiveSpec, expected: float
) -> None:
    first, second = torch.tensor([[3.0, -1.0], [2.0, 0.0]]), torch.zeros(2, 5)
    logged = [values.mean().item() for values in objective.by_discriminator([first, second])]
    assert logged == [expected, 0.0]


def off_diagonal(weight: Tensor) -> Tensor:
    """Squares of the dot products of different rows of the weight as a matrix (out, rest)."""
    rows = [row.reshape(-1) for row in weight]
    total = torch.zeros((), dtype=weight.dtype)
    for i, first in enumerate(rows):
        for j, second in enumerate(rows):
            if i != j:
                total = total + (first * second).sum() ** 2
    return total


def test_orthogonal_penalty() -> None:
    """||W W^T * (1 - I)||^2 over weights, before spectral normalisation (Luc et al. 2020, E.2)."""
    module = filled(nn.ModuleList([Linear(3, 5), Conv2d(2, 4), Conv3d(2, 3, (3, 1, 1)), Linear(2, 1)]))
    weights = [layer.weight for layer in module]
    expected = sum(off_diagonal(w) for w in weights)
    made = orthogonal_penalty(module)
    torch.testing.assert_close(made, expected)
    ours = torch.autograd.grad(made, weights)
    theirs = torch.autograd.grad(expected, weights, materialize_grads=True)
    for first, second in zip(ours, theirs, strict=True):
        torch.testing.assert_close(first, second)
    assert not ours[-1].any()  # a single row is orthogonal to nothing


def test_orthogonal_rows_are_not_penalised_whatever_their_length() -> None:
    layer = Linear(4, 3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 0, 0, 0], [0, 0, -5, 0], [0, 0.1, 0, 0]]))
    assert orthogonal_penalty(layer).item() == 0
    with torch.no_grad():
        layer.weight[2, 0] = 1.0
    assert orthogonal_penalty(layer).item() == pytest.approx(2 * (2 * 1) ** 2)


def test_class_embeddings_and_biases_are_not_penalised() -> None:
    module = filled(nn.ModuleList([Embedding(4, 3), Linear(3, 2)]))
    torch.testing.assert_close(orthogonal_penalty(module), off_diagonal(module[1].weight))
