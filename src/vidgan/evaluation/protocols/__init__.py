"""The protocols by name: what each follows, and what was chosen where its source is silent.

A protocol holds everything that a number depends on, so that it can be repeated and compared.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from vidgan.errors import UserError, did_you_mean
from vidgan.evaluation.features.weights import has_packaged_efficientnet_lite0
from vidgan.evaluation.protocols.base import ClipForm, Draw, Protocol, Sampling
from vidgan.evaluation.protocols.efficientnet import (
    EfficientNetLite0Frames,
    FrechetOfClips,
    FrechetOfFrames,
)
from vidgan.evaluation.protocols.metrics import (
    BestFuture,
    ByClass,
    ClassAccuracy,
    FrechetDistance,
    InceptionScore,
    KernelDistance,
    MeanPerLevel,
    MotionByClass,
    PixelGap,
    PrecisionRecall,
    SpectralGap,
)
from vidgan.evaluation.protocols.networks import (
    C3DFeatures,
    HalfPixelBilinear,
    I3DFeatures,
    InDomainFeatures,
    InDomainLabels,
    R2Plus1DFeatures,
    RandomFeatures,
    RandomI3D,
    RepeatLast,
    Tganv2Input,
)
from vidgan.evaluation.protocols.pixels import (
    ClipMotion,
    FrameSimilarity,
    LevelSimilarity,
    OracleLabels,
    PixelMeans,
    PowerSpectra,
)
from vidgan.evaluation.protocols.variety import OracleTraits, SpreadByClass
from vidgan.sample.noise import Truncation
from vidgan.spec import Spec

__all__ = ["ALL", "Named", "Protocol", "adjusted", "protocol"]


class Named(NamedTuple):
    """A protocol and a few words about it."""

    protocol: Protocol
    about: str


# Our choice where papers state no number of samples: BigGAN's 50,000 and ten splits for scores on Kinetics, whose
# papers follow it; 10,000 for R(2+1)D, twenty times its dimensions.
KINETICS, BIGGAN_SPLITS = 50_000, 10
SHUFFLE = 42
"""seed of the order before clips are dealt into parts: StyleGAN-V's. BigGAN draws labels at random, which mixes its
parts; TGAN and TGANv2 have one part; SSW-GAN does not say how its groups are made"""
TEN_CLASSES = 10_000
"""1,000 generated clips of each of ten classes (SSW-GAN, G)"""
WHOLE = Draw(shuffled=True)
"""all real clips that are there; where fewer are asked for, some of all classes"""
SHUFFLED = Draw(count=10_000, shuffled=True, drop_short=True)
"""the real clips of protocols that follow no paper"""
K400 = I3DFeatures(short=RepeatLast())
K600 = K400.replace(classes=600)

# Those that others are made of.
STYLEGAN_V = Protocol(
    metric=FrechetDistance(layer="logits", biased=True),
    features=I3DFeatures(resize=HalfPixelBilinear()),
    source=ClipForm(frames=16),
    real=Draw(count=2048, random_start=True, drop_short=True),
)
TATS = STYLEGAN_V.replace(
    metric=FrechetDistance(layer="logits"),
    features=I3DFeatures(resize=HalfPixelBilinear(), epsilon=1e-5),
    # A random window of each video, in random order, as its loader gives them.
    real=Draw(count=2048, shuffled=True, random_start=True, drop_short=True),
)
FID_K600 = Protocol(metric=FrechetDistance(), features=K600, real=WHOLE, clips=KINETICS)
IS_K600 = Protocol(
    metric=InceptionScore(splits=BIGGAN_SPLITS, shuffle=SHUFFLE), features=K600, clips=KINETICS
)
IS_TGAN = Protocol(
    metric=InceptionScore(epsilon=1e-7),
    features=C3DFeatures(),
    source=ClipForm(frames=16),
    clips=9984,
    runs=4,
)
RANDOM = Protocol(metric=FrechetDistance(), features=RandomFeatures(), real=SHUFFLED)
IN_DOMAIN = RANDOM.replace(features=InDomainFeatures())
EFFICIENTNET = Protocol(
    metric=FrechetOfFrames(), features=EfficientNetLite0Frames(), real=SHUFFLED.replace(count=2048)
)
FRECHET_BY_CLASS = ByClass(score=FrechetDistance())

ALL: Mapping[str, Named] = {
    "fvd-reference": Named(
        Protocol(metric=FrechetDistance(layer="logits"), features=I3DFeatures(), real=WHOLE),
        "Frechet Video Distance of Unterthiner et al. 2018, as DVD-GAN-FP and TrIVD-GAN use it: I3D-400 logits, "
        "frames squashed to 224x224 as TensorFlow 1 does, covariances over n - 1. Needs weights.",
    ),
    "fvd-stylegan-v-2048-16f": Named(
        STYLEGAN_V,
        "FVD as StyleGAN-V's code computes it (fvd2048_16f): 2,048 real clips of the first videos by name, each "
        "from a random start, 2,048 generated ones, covariances over n. Needs weights.",
    ),
    "fvd-stylegan-v-2048-128f": Named(
        STYLEGAN_V.replace(source=ClipForm(frames=128)),
        "The same of 128 frames (fvd2048_128f). Needs weights.",
    ),
    "fvd-stylegan-v-2048-128f-subsample8f": Named(
        STYLEGAN_V.replace(
            features=I3DFeatures(resize=HalfPixelBilinear(), every=8), source=ClipForm(frames=128)
        ),
        "The same of every eighth of 128 frames (fvd2048_128f_subsample8f). Needs weights.",
    ),
    "fvd-tats-2048-16f": Named(
        TATS,
        "FVD as the code of TATS computes it, which is VideoGPT's (of 256 clips a side): half-pixel resizing, batch "
        "normalisation with PyTorch's epsilon, 2,048 clips a side, covariances over n - 1. Needs weights.",
    ),
    "kvd-tats-2048-16f": Named(
        TATS.replace(metric=KernelDistance(layer="logits")),
        "KVD as the code of TATS computes it: the unbiased cubic kernel distance of the same logits (Unterthiner et "
        "al. 2018). Needs weights.",
    ),
    "kid-k600-avgpool": Named(
        FID_K600.replace(metric=KernelDistance(), real=SHUFFLED, clips=10_000),
        "KID (Binkowski et al. 2018) of the average pool of I3D-600, of 10,000 clips a side at once, without subsets. "
        "Needs weights.",
    ),
    "prdc-k400-avgpool": Named(
        FID_K600.replace(metric=PrecisionRecall(), features=K400, real=SHUFFLED, clips=10_000),
        "Precision (the headline) and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020) of "
        "the average pool of I3D-400: 10,000 clips a side, five neighbours, as in the latter. Needs weights.",
    ),
    # Our choice: the "last layer activations" of SSW-GAN's and CVG's FID, which they print beside DVD-GAN's, are this
    # layer, not the logits.
    "fid-k600-avgpool": Named(
        FID_K600,
        "DVD-GAN's FID on Kinetics-600: the average pool (1024) of I3D-600, against all of the training set. "
        "Needs weights.",
    ),
    "is-k600": Named(
        IS_K600,
        "DVD-GAN's Inception Score on Kinetics-600: the softmax of I3D-600. Needs weights.",
    ),
    "is-k400": Named(
        IS_K600.replace(features=K400),
        "Inception Score on Kinetics-600 as SSW-GAN and CVG compute it: the softmax of I3D-400, so not the number "
        "of is-k600. Needs weights.",
    ),
    "is-ucf101-tgan": Named(
        IS_TGAN,
        "Inception Score on UCF-101 as TGAN's code computes it, which DVD-GAN used: C3D, 9,984 samples, no splits. "
        "Needs weights and C3D's mean clip.",
    ),
    "is-ucf101-tganv2": Named(
        IS_TGAN.replace(
            metric=InceptionScore(epsilon=1e-20),
            features=C3DFeatures(input=Tganv2Input()),
            clips=2048,
            runs=10,
        ),
        "Inception Score on UCF-101 as TGANv2's code computes it: C3D, 2,048 samples, no splits, ten runs. "
        "Needs weights and C3D's mean clip.",
    ),
    "fid-r2plus1d": Named(
        FID_K600.replace(features=R2Plus1DFeatures(), clips=10_000),
        "FID of Du's thesis: the average pool (512) of R(2+1)D-18. Needs weights.",
    ),
    "is-r2plus1d": Named(
        Protocol(metric=InceptionScore(), features=R2Plus1DFeatures(), clips=10_000),
        "Inception Score of Du's thesis: the softmax of R(2+1)D-18. Needs weights.",
    ),
    "ssim-best-of-100": Named(
        Protocol(
            metric=BestFuture(),
            features=FrameSimilarity(),
            real=Draw(shuffled=True, drop_short=True),
            sampling=Sampling(given_frames=False),
            clips=256,
        ),
        "Of 100 continuations of each real clip the one most similar to what followed (SSIM, mean over time), "
        "as SAVP does it (TrIVD-GAN, Fig. 5). For models that continue videos; needs no weights.",
    ),
    "psd": Named(
        Protocol(
            metric=SpectralGap(shuffle=SHUFFLE),
            features=PowerSpectra(),
            source=ClipForm(frames=50),
            real=Draw(count=1800, shuffled=True, drop_short=True),
            clips=1800,
        ),
        "Power spectra of frames 1, 10, 25 and 50 (SSW-GAN, appendix E). The curves are what the paper shows; the "
        "headline is their mean difference in decades. Needs no weights.",
    ),
    "psnr-below": Named(
        Protocol(metric=MeanPerLevel(), features=LevelSimilarity(), clips=256),
        "PSNR in dB between what a level of a cascade was given and what it made of it, brought down again as the data "
        "are; the headline is the top level's. Needs no weights and no real clips.",
    ),
    "fid-k600-by-class": Named(
        FID_K600.replace(metric=FRECHET_BY_CLASS, clips=TEN_CLASSES),
        "fid-k600-avgpool within each class (SSW-GAN, Table 4, of ten classes named by --classes); the headline is the "
        "mean over classes. Needs weights.",
    ),
    "is-k400-by-class": Named(
        IS_K600.replace(metric=ByClass(score=InceptionScore()), features=K400, clips=TEN_CLASSES),
        "The Inception Score of the clips of each class under I3D-400 (SSW-GAN, Table 4), without splits; the headline "
        "is the mean over classes. Needs weights.",
    ),
    "motion-by-class": Named(
        Protocol(metric=MotionByClass(), features=ClipMotion(), real=SHUFFLED),
        "How much neighbouring frames differ, generated and real, by class; the headline is the mean gap between "
        "both. Beside a score by class it tells whether classes that move more come out worse (SSW-GAN, G). Needs "
        "no weights.",
    ),
    "frechet-random-by-class": Named(
        RANDOM.replace(metric=FRECHET_BY_CLASS),
        "frechet-random within each class; the headline is the mean over classes. Needs no weights, comparable with "
        "itself only. Never an FVD.",
    ),
    "frechet-in-domain-by-class": Named(
        IN_DOMAIN.replace(metric=FRECHET_BY_CLASS),
        "frechet-in-domain within each class, by the features of a classifier of evaluate --train-classifier; the "
        "headline is the mean over classes. Comparable only with numbers of the same file. Never an FVD.",
    ),
    "frechet-random": Named(
        RANDOM,
        "Frechet distance of 128 features of a small fixed random network, at the clips' own size. Needs no "
        "weights, fast on two cores, comparable with itself only. Never an FVD.",
    ),
    "frechet-frames-efficientnet-lite0": Named(
        EFFICIENTNET,
        "Frechet distance of all frames by 320 features of an EfficientNet-Lite0 that was trained on ImageNet, frames "
        "resized to 128x128. Its weights come with vidgan[features]. Never an FID.",
    ),
    "frechet-clips-efficientnet-lite0": Named(
        EFFICIENTNET.replace(metric=FrechetOfClips()),
        "The same network's Frechet distance of clips: the mean of their frames' features, and how much these change "
        "from frame to frame. Its weights come with vidgan[features]. Never an FVD.",
    ),
    "frechet-random-i3d": Named(
        RANDOM.replace(features=RandomI3D(), real=SHUFFLED.replace(count=2048)),
        "Frechet distance of the average pool of an I3D with weights made by a formula. Needs no weights, slow, "
        "comparable with itself only. Never an FVD.",
    ),
    "frechet-in-domain": Named(
        IN_DOMAIN,
        "Frechet distance of 128 features of a classifier that was trained on the data's own classes by vidgan "
        "evaluate --train-classifier. Comparable only with numbers of the same file. Never an FVD.",
    ),
    "accuracy-in-domain": Named(
        Protocol(metric=ClassAccuracy(), features=InDomainLabels(), clips=512),
        "Share of clips in which a classifier of evaluate --train-classifier sees the class that was asked for; its "
        "accuracy on held-out real clips stands beside it.",
    ),
    "oracle-accuracy": Named(
        Protocol(metric=ClassAccuracy(), features=OracleLabels(), clips=512),
        "Share of generated clips in which an oracle sees the class that was asked for; built-in clips only. "
        "Classes take turns, so each has the same number of clips. The oracle looks at pixels and needs no network.",
    ),
    "oracle-variety": Named(
        Protocol(
            metric=SpreadByClass(),
            features=OracleTraits(),
            real=Draw(count=4096, shuffled=True, in_turns=True),
        ),
        "How much the clips of a class vary beside real ones, in place, size, speed, hue and background, over those in "
        "which an oracle sees the class that was asked for: 1 as much, 0 not at all; built-in clips only. The headline "
        "is that of the trait that varies least, as a mean over classes.",
    ),
    "pixel-statistics": Named(
        Protocol(metric=PixelGap(), features=PixelMeans(), real=Draw(count=512, shuffled=True), clips=512),
        "Mean per colour channel in [-1, 1] and share of dark clips, generated and real. The headline is the "
        "largest difference between generated and real means. A check for collapse, not a measure of quality.",
    ),
}
"""Every protocol by the name that results carry."""


def protocol(name: str) -> Protocol:
    """The protocol called ``name``.

    Examples:
        >>> protocol("is-k400").clips
        50000

    Raises:
        UserError: if there is none; names the nearest.
    """
    if name not in ALL:
        raise UserError(
            f"there is no protocol {name!r}{did_you_mean(name, list(ALL))}; vidgan evaluate --protocols lists them"
        )
    return ALL[name].protocol


def default_distance() -> str:
    """The distance to measure by where none is named: of features of real photographs where the extra ``features`` is
    installed, else ``frechet-random``. A result carries its name, and numbers of one are not compared with the other's.

    Examples:
        >>> default_distance().startswith("frechet-")
        True
    """
    return "frechet-frames-efficientnet-lite0" if has_packaged_efficientnet_lite0() else "frechet-random"


def adjusted(
    protocol: Protocol,
    *,
    clips: int | None = None,
    real_clips: int | None = None,
    windows: int | None = None,
    frames: int | None = None,
    stride: int | None = None,
    size: int | None = None,
    fit: str | None = None,
    classes: Sequence[str] = (),
    futures: int | None = None,
    positions: Sequence[int] = (),
    runs: int | None = None,
    seed: int | None = None,
    truncation: Truncation | None = None,
    averaged: bool | None = None,
    random_window: bool | None = None,
) -> Protocol:
    """``protocol`` with some settings changed; what is None or empty, or what it does not have, stays as it is.

    The names are those of ``vidgan evaluate``; ``truncation`` is how noise is drawn, ``averaged`` takes the moving
    average of the weights instead of the raw ones.

    Examples:
        >>> adjusted(protocol("psd"), frames=12, positions=(1, 12)).source.frames
        12

    Raises:
        UserError: for impossible values.
    """
    features, metric = protocol.features, protocol.metric
    if isinstance(features, PowerSpectra):
        features = replaced(features, positions=tuple(positions) or None)
    if isinstance(metric, BestFuture):
        metric = replaced(metric, futures=futures)
    real, sampling = protocol.real, protocol.sampling
    return replaced(
        protocol,
        metric=metric,
        features=features,
        source=replaced(
            protocol.source,
            frames=frames,
            stride=stride,
            size=size,
            fit=fit,
            classes=tuple(classes) or None,
        ),
        real=None if real is None else replaced(real, count=real_clips, windows=windows),
        sampling=None
        if sampling is None
        else replaced(sampling, truncation=truncation, averaged=averaged, random_window=random_window),
        clips=clips,
        runs=runs,
        seed=seed,
    )


S = TypeVar("S", bound=Spec)


def replaced(spec: S, **changes: Any) -> S:
    """``spec`` with those of ``changes`` that are not None."""
    return spec.replace(**{name: value for name, value in changes.items() if value is not None})
