"""A protocol: everything that a number depends on, as plain data."""

from vidgan.errors import UserError
from vidgan.evaluate.protocols.by_class import ByClass, ClipMotion, MotionByClass
from vidgan.evaluate.protocols.drawing import Draw, Sampling, Source
from vidgan.evaluate.protocols.extractors import Subject
from vidgan.evaluate.protocols.house import HouseFeatures, HouseVerdict
from vidgan.evaluate.protocols.levels import LevelSimilarity, MeanPerLevel
from vidgan.evaluate.protocols.metrics import (
    BestFuture,
    ClassAccuracy,
    FrechetDistance,
    InceptionScore,
    KernelDistance,
    ManifoldScores,
    PixelGap,
    SpectralGap,
)
from vidgan.evaluate.protocols.networks import (
    C3DFeatures,
    ForeignI3D,
    I3DFeatures,
    R2Plus1DFeatures,
    RandomFeatures,
    RandomI3D,
)
from vidgan.evaluate.protocols.pixels import FrameSimilarity, OracleVerdict, PixelMeans, PowerSpectra
from vidgan.spec import Spec, require

MetricSpec = (
    FrechetDistance
    | InceptionScore
    | KernelDistance
    | ManifoldScores
    | ClassAccuracy
    | PixelGap
    | SpectralGap
    | BestFuture
    | MeanPerLevel
    | ByClass
    | MotionByClass
)
FeatureSpec = (
    I3DFeatures
    | ForeignI3D
    | RandomI3D
    | RandomFeatures
    | C3DFeatures
    | R2Plus1DFeatures
    | HouseFeatures
    | HouseVerdict
    | OracleVerdict
    | PixelMeans
    | PowerSpectra
    | FrameSimilarity
    | LevelSimilarity
    | ClipMotion
)


class Protocol(Spec):
    """A complete description of a measurement. What is None is filled in when a number is made."""

    metric: MetricSpec
    """what is computed of the features"""
    features: FeatureSpec
    """what is computed of each clip, preparation included"""
    source: Source = Source()
    """the clips' form"""
    real: Draw | None = None
    """which real clips; None: the number needs none"""
    clips: int = 2048
    """judged clips: generated, or the first of the files, in order of their names and from their first frames"""
    sampling: Sampling | None = Sampling()
    """how a model is sampled; None for files"""
    runs: int = 1
    """repetitions with other noise, of which the mean is reported"""
    seed: int = 0
    """of noise, draws and resampling; repetition i takes seed + i for its noise"""

    def validate(self) -> None:
        require(self.clips >= 1, f"clips must be at least 1, got {self.clips}")
        require(self.runs >= 1, f"runs must be at least 1, got {self.runs}")
        needs = self.metric.needs_real or isinstance(self.features, FrameSimilarity)
        require(needs == (self.real is not None), "real clips are given exactly where the metric needs them")

    def check(self, subject: Subject) -> None:
        """Raise :class:`~vidgan.errors.UserError` if the protocol does not apply to what is judged."""
        self.features.check(subject)
        by_class = isinstance(self.metric, ByClass | MotionByClass)
        if by_class and (not subject.conditional or len(subject.classes) < 2):
            raise UserError("this protocol scores class by class, and what is judged has none")
