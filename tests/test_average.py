"""The weights' moving average and the optimisers' settings, against loops and the papers' numbers."""

import math

import pytest
import torch
from torch import Tensor, nn

from steps import level_state, run_step
from vidgan.models.discriminator import BodySpec, DiscriminatorSpec
from vidgan.models.generator import GeneratorSpec, StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.views import ClipSpec, DiscriminatorInput, FramesSpec
from vidgan.nn.layers import Linear, WeightLayer, power_iterate
from vidgan.nn.recurrent import ConvGRUSpec
from vidgan.nn.temporal import RecurrentSpec
from vidgan.presets import preset
from vidgan.presets.dvd_gan import dvd_gan_fp_bair_16x64, dvd_gan_k600_12x64, dvd_gan_k600_48x128
from vidgan.presets.ssw_gan import ssw_gan_k600_48x128
from vidgan.presets.trivd_gan import trivd_gan_fp_k600_16x64
from vidgan.run.batch import BatchSpec
from vidgan.run.ema import WeightAverage
from vidgan.run.experiment import AdamSpec, AverageSpec, Experiment, TrainingSpec
from vidgan.run.tiny import tiny
from vidgan.spec import SpecError
from vidgan.train.state import TrainState
from vidgan.train.step import MicroBatch, update_discriminators, update_generator

F64 = torch.float64
CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def walk(module: nn.Module, seed: int) -> None:
    """Move every parameter at random, as an optimiser would."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p += torch.randn(p.shape, generator=rng, dtype=p.dtype)


# The moving average


@pytest.mark.parametrize(("decay", "start"), [(0.9, 3), (0.5, 0), (0.0, 2), (0.9999, 1)])
def test_average_follows_the_recursion_from_its_start(decay: float, start: int) -> None:
    """w' = decay w' + (1 - decay) w, from the weights after step ``start`` (Luc et al. 2020, E.2)."""
    module = nn.ModuleList([Linear(3, 2), Linear(2, 4, bias=False)]).double()
    walk(module, 99)
    average = WeightAverage(module, AverageSpec(decay=decay, start=start))
    expected = [p.detach().clone() for p in module.parameters()]
    for step in range(1, 8):
        walk(module, step)
        average.update(module, step)
        latest = [p.detach().clone() for p in module.parameters()]
        for i, w in enumerate(latest):
            expected[i] = w if step <= start else decay * expected[i] + (1 - decay) * w
        for ours, theirs in zip(average.module.parameters(), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_average_is_the_weighted_sum_of_all_weights_since_its_start() -> None:
    """After n updates: decay^n w_0 + (1 - decay) sum_i decay^(n - i) w_i."""
    module = Linear(3, 2).double()
    average = WeightAverage(module, AverageSpec(decay=0.8, start=2))
    history = []
    for step in range(1, 10):
        walk(module, step)
        average.update(module, step)
        history.append(module.weight.detach().clone())
    first, *others = history[1:]  # step 2 is the last copy
    n = len(others)
    expected = 0.8**n * first + 0.2 * sum(0.8 ** (n - 1 - i) * w for i, w in enumerate(others))
    torch.testing.assert_close(average.module.weight, expected, rtol=1e-12, atol=1e-12)


def test_a_ramp_weighs_step_i_by_a_power_of_i_until_the_decay_holds() -> None:
    """decay_t = 1 - n / t gives step i of T the weight C(i - 1, n - 1) / C(T, n), which grows as i^(n - 1)."""
    module = Linear(3, 2).double()
    average = WeightAverage(module, AverageSpec(decay=1 - 1 / 2.5, start=2, ramp=0.25))
    history = []
    for step in range(1, 13):
        walk(module, step)
        average.update(module, step)
        if step > 2:
            history.append(module.weight.detach().clone())
        else:
            torch.testing.assert_close(average.module.weight, module.weight)
    n, ramped = 4, 10  # a quarter of ten steps is 2.5, as much as the decay looks back on
    expected = sum(math.comb(i, n - 1) / math.comb(ramped, n) * w for i, w in enumerate(history))
    torch.testing.assert_close(average.module.weight, expected, rtol=1e-12, atol=1e-12)
    walk(module, 99)
    average.update(module, 13)
    expected = 0.6 * expected + 0.4 * module.weight
    torch.testing.assert_close(average.module.weight, expected, rtol=1e-12, atol=1e-12)


def test_a_slow_average_moves_in_float32() -> None:
    """Decay 0.9999 leaves a step of 1e-4 of the distance, which float32 resolves."""
    module = Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(1.0)
    average = WeightAverage(module, AverageSpec(decay=0.9999, start=0))
    with torch.no_grad():
        module.weight.fill_(2.0)
    for step in range(1, 1001):
        average.update(module, step)
    assert average.module.weight.item() == pytest.approx(2 - 0.9999**1000, rel=1e-4)


def test_the_average_is_a_copy_that_takes_no_gradient() -> None:
    module = Linear(3, 2)
    first = module.weight.detach().clone()
    average = WeightAverage(module, AverageSpec())
    walk(module, 0)
    assert torch.equal(average.module.weight, first)
    assert not torch.equal(module.weight, first)
    assert not any(p.requires_grad for p in average.module.parameters())
    assert all(p.requires_grad for p in module.parameters())
    average.update(module, 1)
    assert torch.equal(average.module.weight, module.weight)
    walk(module, 1)
    assert not torch.equal(average.module.weight, module.weight)


def test_a_decay_of_one_and_a_ramp_of_nothing_are_refused() -> None:
    for decay in (1.0, -0.1):
        with pytest.raises(SpecError, match=r"decay must be (below 1|at least 0)"):
            AverageSpec(decay=decay)
    for ramp in (0.0, 1.1):
        with pytest.raises(SpecError, match=r"ramp must be (above 0|at most 1)"):
            AverageSpec(ramp=ramp)


# A small level


def experiment(**training: object) -> Experiment:
    stages = (StageSpec(channels=1, temporal=(RecurrentSpec(unit=ConvGRUSpec()),), blocks=1),)
    level = LevelSpec(
        generator=GeneratorSpec(latent=3, embedding=2, width=2, side=2, channels=2, stages=stages),
        discriminators=(
            DiscriminatorSpec(name="frames", view=FramesSpec(k=2), body=BodySpec(width=2, channels=(1, 2))),
            DiscriminatorSpec(
                name="clip", view=ClipSpec(scale=1), body=BodySpec(width=2, channels=(1, 2), blocks_3d=1)
            ),
        ),
        frames=3,
    )
    settings = TrainingSpec(
        batch=BatchSpec(global_batch=2, micro_batch=2), bf16=False, average=AverageSpec(decay=0.5, start=0)
    )
    return Experiment(name="small", levels=(level,), classes=2, training=settings.replace(**training))


def micro(seed: int) -> MicroBatch:
    rng = torch.Generator().manual_seed(seed)
    real = DiscriminatorInput(torch.randn((2, 3, 3, 4, 4), generator=rng).tanh(), None, torch.tensor([0, 1]))
    draws = {"frames": torch.tensor([[0, 2], [1, 2]]), "clip": torch.zeros((2, 0), dtype=torch.int64)}
    z = torch.randn((2, 3), generator=rng)
    return MicroBatch(real, z, real.label, lambda: None, draws, draws)


def sides(state: TrainState) -> tuple[nn.Module, nn.Module]:
    return state.level.generator, state.level.discriminators


def test_one_power_iteration_per_update_of_either_side() -> None:
    """On the new weights; the side that stands still keeps its singular vectors."""
    state = TrainState(experiment(), 0, CPU)
    generator, discriminators = sides(state)

    def vectors(side: nn.Module) -> list[tuple[WeightLayer, Tensor, Tensor]]:
        layers = [m for m in side.modules() if isinstance(m, WeightLayer) and m.spectral]
        return [(m, m.u.clone(), m.v.clone()) for m in layers]

    for update, moving, standing in (
        (update_discriminators, discriminators, generator),
        (update_generator, generator, discriminators),
    ):
        before, still = vectors(moving), vectors(standing)
        weights = [p.detach().clone() for p in standing.parameters()]
        update(state, [micro(1)])
        for layer, u, _ in before:
            matrix = layer.weight.detach().reshape(len(u), -1)
            v = matrix.T @ u / (matrix.T @ u).norm()
            torch.testing.assert_close(layer.v, v)
            torch.testing.assert_close(layer.u, matrix @ v / (matrix @ v).norm())
        for layer, u, v in still:
            assert torch.equal(layer.u, u)
            assert torch.equal(layer.v, v)
        assert all(torch.equal(p, w) for p, w in zip(standing.parameters(), weights, strict=True))


def adam(
    w: Tensor, gradients: list[Tensor], rate: float, beta1: float, beta2: float, epsilon: float
) -> Tensor:
    """Kingma and Ba 2014, algorithm 1, number by number."""
    values = w.flatten().tolist()
    lists = [g.flatten().tolist() for g in gradients]
    for i in range(len(values)):
        m = v = 0.0
        for t, gradient in enumerate(lists, start=1):
            m = beta1 * m + (1 - beta1) * gradient[i]
            v = beta2 * v + (1 - beta2) * gradient[i] ** 2
            values[i] -= rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
    return torch.tensor(values, dtype=w.dtype).reshape(w.shape)


@pytest.mark.parametrize(
    "spec",
    [AdamSpec(), AdamSpec(generator_rate=0.01, discriminator_rate=0.03, beta1=0.5, beta2=0.9, epsilon=1e-3)],
    ids=["papers", "other"],
)
def test_adam_on_both_sides(spec: AdamSpec) -> None:
    state = TrainState(experiment(adam=spec), 0, CPU)
    pairs = zip(sides(state), state.optimisers, (spec.generator_rate, spec.discriminator_rate), strict=True)
    for side, optimiser, rate in pairs:
        side.double()
        p = next(p for p in side.parameters() if p.dim() == 4)
        start = p.detach().clone()
        gradients = [random(*p.shape, seed=seed) for seed in range(3)]
        for gradient in gradients:
            p.grad = gradient.clone()
            optimiser.step()
        expected = adam(start, gradients, rate, spec.beta1, spec.beta2, spec.epsilon)
        torch.testing.assert_close(p.detach(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_rates_fall_in_a_straight_line_to_the_last_step() -> None:
    tour = tiny(preset("demo"))
    rates = AdamSpec(generator_rate=0.01, discriminator_rate=0.04, beta2=0.99, falls_from=6)
    state = level_state(tour.replace(training=tour.training.replace(steps=10, adam=rates)), 0)
    # The parts of the rates that updates 1 to 11 have: whole, until after six of them they fall to nothing at the last.
    for step, part in enumerate([1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]):
        state.steps = step
        run_step(state)
        found = [group["lr"] for optimiser in state.optimisers for group in optimiser.param_groups]
        assert found == pytest.approx([0.01 * part, 0.04 * part], rel=1e-12), step


def test_each_optimiser_holds_all_parameters_of_its_side_and_no_others() -> None:
    state = TrainState(experiment(), 0, CPU)
    for side, optimiser in zip(sides(state), state.optimisers, strict=True):
        (group,) = optimiser.param_groups
        assert [id(p) for p in group["params"]] == [id(p) for p in side.parameters()]
        assert group["weight_decay"] == 0
        assert not group["amsgrad"]


def test_what_is_published_is_the_average_over_its_own_sigma() -> None:
    """The average is of weights before spectral normalisation, so sampling divides it by its own norm."""
    state = TrainState(experiment(), 0, CPU)
    generator = state.level.generator
    assert state.average is not None
    for step in range(1, 4):
        with torch.no_grad():
            for p in generator.parameters():
                p += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
        power_iterate(generator, 50)
        state.average.update(generator, step)
    (published,) = state.generators()
    assert published is state.average.module
    for ours, raw in zip(published.modules(), generator.modules(), strict=True):
        if isinstance(ours, WeightLayer) and ours.spectral:
            matrix = ours.weight.reshape(ours.weight.shape[0], -1)
            first = torch.linalg.svdvals(matrix)[0].item()
            assert ours.sigma().item() == pytest.approx(first, rel=0.03)
            assert not torch.equal(ours.weight, raw.weight)
    (raw,) = TrainState(experiment(average=None), 0, CPU).generators()
    assert raw.embed.weight.requires_grad


# The papers' numbers


def test_learning_rates_of_the_papers() -> None:
    """Clark et al. 2019, A.3; Luc et al. 2020, E.2; SSW-GAN, A."""
    for paper in (dvd_gan_k600_12x64, dvd_gan_k600_48x128, dvd_gan_fp_bair_16x64):
        spec = paper().training.adam
        assert (spec.generator_rate, spec.discriminator_rate) == (1e-4, 2e-4)
    for paper in (trivd_gan_fp_k600_16x64, ssw_gan_k600_48x128):
        spec = paper().training.adam
        assert (spec.generator_rate, spec.discriminator_rate) == (1e-4, 5e-4)
    for paper in (dvd_gan_k600_12x64, trivd_gan_fp_k600_16x64, ssw_gan_k600_48x128):
        training = paper().training
        assert (training.adam.beta1, training.adam.beta2) == (0.0, 0.999)
        assert training.batch.global_batch == 512
        assert training.discriminator_updates == 2


def test_averages_penalties_and_standing_statistics_of_the_papers() -> None:
    dvd, trivd, ssw = (
        paper().training for paper in (dvd_gan_k600_12x64, trivd_gan_fp_k600_16x64, ssw_gan_k600_48x128)
    )
    assert dvd.average == trivd.average == AverageSpec(decay=0.9999, start=20_000)
    assert ssw.average is None  # SSW-GAN, A: neither moving averages nor orthogonal penalties
    assert (dvd.orthogonal_penalty, trivd.orthogonal_penalty, ssw.orthogonal_penalty) == (1e-4, 1e-4, 0.0)
    assert (trivd.standing_statistics.batches, trivd.standing_statistics.clips) == (100, 256)
    assert ssw.standing_statistics.batches == 200
    assert dvd.steps == ssw.steps == 300_000
