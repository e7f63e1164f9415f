"""Large-scale video GANs: DVD-GAN, TrIVD-GAN-FP, SSW-GAN and CVG as points of one design space."""

__version__ = "0.1.0"
