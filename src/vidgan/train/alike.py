"""Processes that train together must train the same: they compare what they have before the first step."""

import hashlib
import json

import torch

from vidgan.data.dataset import Dataset
from vidgan.run.directory import code_of, package_hash
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment
from vidgan.spec import to_json


def require_alike(replicas: Replicas, experiment: Experiment, dataset: Dataset, device: torch.device) -> None:
    """Refuse processes that would train something else than the first one, or on its GPU.

    Raises:
        UserError: on all of them, with what the first of these has otherwise.
    """
    if replicas.group is None:
        return
    written = json.dumps(to_json(experiment)).encode()
    facts = {
        "fingerprint of its data": dataset.fingerprint,
        "hash of its experiment": hashlib.sha256(written).hexdigest()[:16],
        "hash of vidgan's code": package_hash(),
        "version of torch": torch.__version__,
    }
    own = {f"hash of {name}": value for name, value in code_of(experiment).items()}
    replicas.require_same(facts | own)
    replicas.require_own_gpus(device)
