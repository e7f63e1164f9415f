"""A training step of a checkout, timed again and again: a process of compare_checkouts.py.

Reads a number of steps from each line of its input and answers with the seconds of processor time that one took. The
checkout's own ``benchmarks`` and ``src`` are imported, whatever its modules are called inside.
"""

import sys
import time


def main(checkout: str, preset: str, width: int, batch: int, bf16: bool, threads: int) -> None:
    sys.path[:0] = [f"{checkout}/benchmarks", f"{checkout}/src"]
    import torch

    import vidgan.presets
    from training import Trainee, with_batch, with_width

    torch.set_num_threads(threads)
    experiment = with_batch(vidgan.presets.preset(preset), batch)
    if width:
        experiment = with_width(experiment, width)
    # DVD-GAN's presets of before had no such penalty.
    experiment = experiment.replace(training=experiment.training.replace(bf16=bf16, orthogonal_penalty=0.0))
    trainee = Trainee(experiment, 0, torch.device("cpu"))
    for _ in range(2):  # the first steps make Adam's state and choose kernels
        trainee.step()
    print(vidgan.__file__, flush=True)
    for line in sys.stdin:
        steps, began = int(line), time.process_time()
        for _ in range(steps):
            trainee.step()
        print((time.process_time() - began) / steps, flush=True)


if __name__ == "__main__":
    place, name, wide, clips, kind, count = sys.argv[1:]
    main(place, name, int(wide), int(clips), kind == "bfloat16", int(count))
