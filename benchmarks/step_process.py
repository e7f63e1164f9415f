"""A training step of a checkout, timed again and again: a process of compare_checkouts.py and bench_peer.py.

Reads a number of steps from each line of its input and answers with the seconds of processor time and of the clock that
one took, and with the most memory that the process has held so far. The checkout's own ``benchmarks`` and ``src`` are
imported, whatever its modules are called inside.
"""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path


def answer(step: Callable[[], object]) -> None:
    """Make the steps that are asked for."""
    for _ in range(2):  # the first steps make Adam's state and choose kernels
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        steps, processor, clock = int(line), time.process_time(), time.perf_counter()
        for _ in range(steps):
            step()
        times = (time.process_time() - processor) / steps, (time.perf_counter() - clock) / steps
        print(*times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10, flush=True)


def main(checkout: str, preset: str, width: int, batch: int, bf16: bool, threads: int) -> None:
    sys.path[:0] = [f"{checkout}/benchmarks", f"{checkout}/src"]
    # As the checkout's own command line; earlier ones ask their process for nothing that one thread would notice.
    if (Path(checkout) / "src/vidgan/cli/process.py").exists():
        from vidgan.cli.process import set_up_process

        set_up_process()
    import torch

    import vidgan.presets
    from training import Trainee, with_batch, with_width

    torch.set_num_threads(threads)
    experiment = with_batch(vidgan.presets.preset(preset), batch)
    if width:
        experiment = with_width(experiment, width)
    # DVD-GAN's presets of before had no such penalty, nor have other implementations.
    experiment = experiment.replace(training=experiment.training.replace(bf16=bf16, orthogonal_penalty=0.0))
    assert Path(vidgan.__file__).is_relative_to(checkout), f"{vidgan.__file__} is not of {checkout}"
    answer(Trainee(experiment, 0, torch.device("cpu")).step)


if __name__ == "__main__":
    place, name, wide, clips, kind, count = sys.argv[1:]
    main(place, name, int(wide), int(clips), kind == "bfloat16", int(count))
