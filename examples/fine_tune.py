"""Train a run's model further on other data: what fits is taken from its newest weights.

python examples/fine_tune.py runs/demo synthetic-open --out runs/open --steps 100
"""

import argparse

import vidgan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the run to start from")
    parser.add_argument("data", help="a folder made by `vidgan prepare`, or the name of built-in clips")
    parser.add_argument("--out", default="runs/fine-tuned")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument(
        "--rate", type=float, default=1e-4, help="of the generator; the discriminators' is twice that"
    )
    args = parser.parse_args()

    experiment = vidgan.load(args.run).experiment
    adam = experiment.training.adam.replace(generator_rate=args.rate, discriminator_rate=2 * args.rate)
    experiment = experiment.replace(training=experiment.training.replace(adam=adam))
    trainer = vidgan.Trainer(experiment, vidgan.open_dataset(args.data), out=args.out, init_from=args.run)
    trainer.fit(steps=args.steps)


if __name__ == "__main__":  # processes that read clips import this file
    main()
