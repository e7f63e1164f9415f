"""Measure videos that any model made against real ones.

python examples/score_videos.py my_videos --real data/test
python examples/score_videos.py my_videos --real real_videos --protocol fvd-reference --weights i3d.pt
"""

import argparse

import vidgan
from vidgan.evaluation import default_distance

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("videos", help="a folder of videos, a .npy of clips (N, T, H, W, 3) uint8, or a run")
parser.add_argument("--real", required=True, help="a prepared dataset, or a folder of videos")
parser.add_argument("--protocol", default=default_distance())
parser.add_argument("--weights", help="file of the network's weights, where the protocol has one")
args = parser.parse_args()

result = vidgan.evaluate(args.videos, real=args.real, protocol=args.protocol, weights=args.weights)
print(f"{args.protocol}: {result.value:.4g}")
if result.deviation is not None:
    print(f"deviation: {result.deviation.value:.2g} over {result.deviation.times} of {result.deviation.over}")
for warning in result.warnings:
    print(f"warning: {warning}")
