"""What monitoring a step costs: steps with and without the monitor, taken in turn.

One step of every tick is monitored, so all steps of a tick share its cost; that share is the last line.
"""

import statistics

from interleaved import Case, Settings, interleave, options, show, show_machine, timed
from training import Trainee, with_batch
from vidgan.presets import preset
from vidgan.run.collapse import CollapseDetector, CollapseSpec
from vidgan.run.distributed import Replicas
from vidgan.train.monitor import Monitor


class MonitorSettings(Settings):
    """Which step."""

    preset: str
    level: int
    batch: int


def main(settings: MonitorSettings) -> None:
    show_machine(settings.device)
    experiment = with_batch(preset(settings.preset), settings.batch)
    trainee = Trainee(experiment, settings.level - 1, settings.device)
    detector = CollapseDetector(CollapseSpec())

    def monitored() -> None:
        monitor = Monitor()
        trainee.step(monitor)
        detector.see(trainee.state.steps, monitor.take(trainee.state.level, Replicas()))

    cases = [
        Case("a step", timed(trainee.step, settings.device)),
        Case("a monitored step", timed(monitored, settings.device)),
    ]
    results = interleave(cases, settings.rounds)
    show(f"monitoring a step of {settings.preset}, {settings.batch} clips", results, items=settings.batch)
    tick = experiment.reporting.tick
    share = 100 * (statistics.median(results[1].ratios) - 1) / tick
    print(f"\n  one step of {tick} is monitored: {share:.2f} % of training")


if __name__ == "__main__":
    parser = options(str(__doc__), rounds=9)
    parser.add_argument("--preset", default="demo", help="which experiment (demo)")
    parser.add_argument("--level", type=int, default=1, help="which level of a cascade, from 1 (1)")
    parser.add_argument("--batch", type=int, default=16, help="clips per update and pass (16)")
    main(parser.parse_args(namespace=MonitorSettings()))
