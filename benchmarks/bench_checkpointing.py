"""A generator's update with and without recomputing each stage in the backward pass: time and memory."""

from interleaved import Case, Settings, interleave, mib, options, peak_bytes, show, show_machine, timed
from training import Trainee, with_batch, with_checkpointing
from vidgan.presets.dvd_gan import dvd_gan_k600_12x64
from vidgan.run.experiment import Experiment

WIDTH, CLIPS = 8, 2


def narrow() -> Experiment:
    """DVD-GAN at 12x64x64 with few channels, in float32, so that a step takes about a second on a CPU."""
    experiment = with_batch(dvd_gan_k600_12x64(), CLIPS)
    (level,) = experiment.levels
    discriminators = tuple(
        discriminator.replace(body=discriminator.body.replace(width=WIDTH))
        for discriminator in level.discriminators
    )
    return experiment.replace(
        classes=8,
        levels=(
            level.replace(generator=level.generator.replace(width=WIDTH), discriminators=discriminators),
        ),
        training=experiment.training.replace(bf16=False),
    )


def main(settings: Settings) -> None:
    device = settings.device
    show_machine(device)
    works = {
        name: Trainee(with_checkpointing(narrow(), on), 0, device).generator_step
        for name, on in (("kept", False), ("recomputed", True))
    }
    cases = [Case(name, timed(work, device)) for name, work in works.items()]
    memory = [f"peak {mib(peak_bytes(work, device))}" for work in works.values()]
    title = f"the generator's update, DVD-GAN 12x64x64 of width {WIDTH}, {CLIPS} clips"
    show(title, interleave(cases, settings.rounds), items=CLIPS, notes=memory)


if __name__ == "__main__":
    main(options(str(__doc__), rounds=7).parse_args(namespace=Settings()))
