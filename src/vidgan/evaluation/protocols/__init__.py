"""Named protocols: everything a number depends on, so that it can be repeated and compared."""

from vidgan.evaluation.protocols.named import ALL, Named, protocol
from vidgan.evaluation.protocols.protocol import Protocol

__all__ = ["ALL", "Named", "Protocol", "protocol"]
