"""Every published experiment by name, as plain data; to add one, edit its paper's file and this list."""

from collections.abc import Callable, Mapping

from vidgan.errors import UserError, did_you_mean
from vidgan.presets import cvg, demo, dvd_gan, guide, ssw_gan, trivd_gan
from vidgan.run.experiment import Experiment

GROUPS: Mapping[str, tuple[Callable[[], Experiment], ...]] = {
    "Small, for a CPU": (
        demo.demo,
        demo.demo_prediction,
        demo.demo_prediction_variety,
        *demo.ALL,
        demo.dvd_gan_8x64_cpu,
    ),
    "DVD-GAN": (
        dvd_gan.dvd_gan_k600_12x64,
        dvd_gan.dvd_gan_k600_48x64,
        dvd_gan.dvd_gan_k600_12x128,
        dvd_gan.dvd_gan_k600_48x128,
        dvd_gan.dvd_gan_k600_12x256,
        dvd_gan.dvd_gan_k600_16x64_noskip,
        dvd_gan.dvd_gan_ucf101_16x128,
        dvd_gan.dvd_gan_ucf101_16x64_1gpu,
    ),
    "DVD-GAN-FP, which predicts frames": (
        dvd_gan.dvd_gan_fp_k600_16x64,
        dvd_gan.dvd_gan_fp_bair_16x64,
        trivd_gan.dvd_gan_fp_k600_16x64_states,
    ),
    "DVD-GAN, one thing changed at a time": dvd_gan.ALL,
    "TrIVD-GAN-FP": (
        trivd_gan.trivd_gan_fp_k600_16x64,
        trivd_gan.trivd_gan_fp_k600_16x64_w48,
        trivd_gan.trivd_gan_fp_ucf101_16x64,
        trivd_gan.trivd_gan_fp_bair_16x64,
    ),
    "TrIVD-GAN-FP's tables: discriminators, recurrent units, projection": trivd_gan.ALL,
    "SSW-GAN": (
        ssw_gan.ssw_gan_k600_48x128,
        ssw_gan.ssw_gan_k600_48x128_window3,
        ssw_gan.ssw_gan_k600_48x128_no_matching,
        ssw_gan.ssw_gan_k600_48x128_convgru,
        ssw_gan.ssw_gan_joint_12x64,
        ssw_gan.ssw_dvd_gan_k600_6x128,
        ssw_gan.ssw_dvd_gan_k600_50x128,
        ssw_gan.ssw_gan_bdd100k_100x128,
        ssw_gan.ssw_gan_bdd100k_6x128,
        ssw_gan.ssw_gan_bdd100k_6x128_no_matching,
    ),
    "CVG": (
        cvg.cvg_k600_48x128,
        cvg.cvg_k600_48x128_window3,
        cvg.cvg_k600_48x128_no_matching,
        cvg.cvg_ucf101_16x128,
        cvg.cvg_bdd100k_48x256,
        cvg.cvg_bdd100k_6x128,
        cvg.cvg_bdd100k_6x128_no_matching,
    ),
    "The practical guide: what collapses, and what cures it": guide.ALL,
}


def presets() -> dict[str, Experiment]:
    """All experiments by name."""
    return {
        experiment.name: experiment for group in GROUPS.values() for experiment in (make() for make in group)
    }


def preset(name: str) -> Experiment:
    """The experiment called ``name``; raises :class:`UserError` that names the nearest one."""
    table = presets()
    if name not in table:
        raise UserError(
            f"there is no preset {name!r}{did_you_mean(name, list(table))}; `vidgan presets` lists them"
        )
    return table[name]
