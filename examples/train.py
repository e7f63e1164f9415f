"""Train a preset of which some values are changed; the same command resumes.

python examples/train.py synthetic --out runs/mine --steps 200
"""

import argparse

import vidgan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help='a folder made by `vidgan prepare`, or "synthetic"')
    parser.add_argument("--out", default="runs/mine", help="run directory")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()

    experiment = vidgan.preset(args.preset)
    training = experiment.training
    experiment = experiment.replace(
        training=training.replace(batch=training.batch.replace(global_batch=args.batch))
    )
    trainer = vidgan.Trainer(experiment, vidgan.open_dataset(args.data), out=args.out)
    trainer.fit(steps=args.steps)  # in total: resumes where `out` holds this experiment

    metrics = trainer.step()  # one more, for a loop of one's own: 0-d tensors on the device
    print({name: round(float(value), 4) for name, value in metrics.items() if name.startswith("loss/")})


if __name__ == "__main__":  # processes that read clips import this file
    main()
