"""Sample a trained run: videos, a grid of them, and a walk from one class to another.

python examples/sample.py runs/demo --out samples
"""

import argparse
from pathlib import Path

import vidgan

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("run", help="a run directory, or a folder that model.save wrote")
parser.add_argument("--out", type=Path, default=Path("samples"), help="folder for the videos")
parser.add_argument("--clips", type=int, default=8)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

model = vidgan.load(args.run)
print(model)
args.out.mkdir(parents=True, exist_ok=True)

videos = model.sample(args.clips, seed=args.seed)  # (clips, T, 3, H, W), float in [-1, 1]; classes in turn
for number, video in enumerate(videos):
    vidgan.save_video(video, args.out / f"{number:04d}.mp4", fps=12)

if len(model.class_names) > 1:
    between = model.interpolate(classes=model.class_names[:2], points=6, seed=args.seed)
    side_by_side = between.movedim(0, -2).flatten(-2)  # (T, 3, H, 6 W)
    vidgan.save_video(side_by_side, args.out / "between.webp", fps=12)
