"""What is measured: the metrics by name, a run's choice of them, the sets they compare, and what
they need of those."""

import dataclasses
from collections.abc import Callable

import numpy as np

from gan_jax import pretrained
from gan_jax.evaluation import translations
from gan_jax.evaluation.features import Images
from gan_jax.evaluation.probes import Usefulness
from gan_jax.metrics import pixels
from gan_jax.runtime import registry

METRICS = {  # name -> what it answers
    "kid": (
        "how far the generated distribution is from the real one; unbiased, for any number of"
        " images"
    ),
    "fid": (
        "the same, comparable with papers where the net is 'inception'; wants more images than"
        " features"
    ),
    "is": "how sure a classifier is of each picture, and how many classes it sees",
    "precision_recall": "share of pictures that look real; share of reality that is covered",
    "density_coverage": "the same, robust to outliers",
    "diversity": (
        "mean distance between two pictures: over all, within each class, around each of a few"
        " training images"
    ),
    "memorisation": "share of pictures that are nearly training images, and those that are most",
    "robustness": (
        "kid under noise, blur, JPEG, downscaling and darkening, of generated and of held-back real"
        " pictures"
    ),
    "usefulness": (
        "accuracy of classifiers trained on generated pictures, and on real ones with generated"
        " added"
    ),
    "label_accuracy": (
        "share of generated pictures that classifiers trained on real ones take for their class"
    ),
}
METRICS |= {  # of translators
    "fidelity": "PSNR, SSIM, MAE against the true translation, beside those of copying the input",
    "style": "kid to the style gone to, style by style, beside that of the untouched input",
    "attributes": (
        "how far skin and hair are from the input's own colours, beside a shuffled pairing's and"
        " real pictures'"
    ),
    "identity": (
        "distance of features between a picture and its translation, beside a shuffled pairing's"
    ),
    "variety": (
        f"mean distance between translations of one picture by {translations.LATENTS} latents"
    ),
    "shift_error": (
        "change of the translation where its picture is shifted: how much a video would flicker"
    ),
}
TRANSLATORS = {"fidelity", "style", "attributes", "identity", "variety", "shift_error"}
USE_HELD_OUT = {"memorisation", "robustness", "usefulness", "label_accuracy"}
KEEP = 10_000  # features of so many pictures of a set stay in memory
SMALLEST_SSIM = 2 * pixels.RADIUS + 1  # pixels a side


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is measured and how: config.eval. With the seed it fixes every digit.

    Attributes:
        metrics: names in METRICS.
        images: generated ones.
        reference: real ones, drawn from the training split by the seed; all, where there are fewer.
        features: a name in models.features.NETS.
        weights: its file; None: the installed package's.
        resize: filter to the net's size: "bicubic" (antialiased; the clean FID), or "tf1_bilinear"
            (the legacy FID).
        data: settings of config.data that are otherwise for the real pictures. Flips, rotations and
            random crops are off in any case.
        held_out: settings of config.data for pictures that training never saw, as in {"split":
            "test"}: the control of memorisation and robustness, the test set of usefulness, and
            what a translator is given.
        validation: the same for the measurements of training, in the place of `held_out`, so that
            the best checkpoint is not chosen on the pictures that test it, as in {"split":
            "validation"}.
        truncation: of z.
        seed: of z, of labels, of which real pictures are taken.
        batch: pictures a device sees at a time.
        best: the value by which the best checkpoint is kept, as "kid_efflite0"; None: the first
            metric's.
        robustness_images: of a set, for each corruption and strength.
        usefulness: arguments of classify.Usefulness.
    """

    metrics: tuple[str, ...] = ("kid", "precision_recall")
    images: int = 1000
    reference: int = 10_000
    features: str = "efflite0"
    weights: str | None = None
    resize: str = "bicubic"
    data: dict = dataclasses.field(default_factory=dict)
    held_out: dict | None = None
    validation: dict | None = None
    truncation: float | None = None
    seed: int = 0
    batch: int = 32
    best: str | None = None
    robustness_images: int = 300
    usefulness: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for metric in self.metrics or ("",):
            registry.choose(METRICS, metric, "config.eval.metrics")
        registry.choose(pretrained.NETS, self.features, "config.eval.features")
        registry.build(Usefulness, self.usefulness, "config.eval.usefulness")
        for name, least in (
            ("images", 1),
            ("reference", 1),
            ("batch", 1),
            ("robustness_images", 3),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f"config.eval.{name}={getattr(self, name)}: it must be at least {least}."
                )
        if self.truncation is not None and not self.truncation > 0:
            raise ValueError(
                f"config.eval.truncation={self.truncation}: it must be above 0, or None."
            )
        if self.validation is not None and self.validation == self.held_out:
            raise ValueError(
                f"config.eval.validation={self.validation}: these are config.eval.held_out's"
                " pictures too."
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"config.eval.seed={self.seed}: it must be 0 to {2**32 - 1}.")

    def apart(self, choosing: bool) -> tuple[dict | None, str]:
        """(settings of the pictures that training never saw, where they stand); choosing: a
        checkpoint, by the numbers."""
        if choosing and self.validation is not None:
            return self.validation, "config.eval.validation"
        return self.held_out, "config.eval.held_out"


@dataclasses.dataclass(frozen=True)
class Sets:
    """What is compared. `real` is the training set, whole; of a translator, what it should look
    like."""

    fake: Images
    real: Images
    held_out: Images | None = None
    # what a translator made `fake` of, in that order, after the last the first again
    contents: Images | None = None
    truth: Images | None = None  # the contents' true translations
    # of contents, into classes
    translate: Callable[[Images, np.ndarray | None], Images] | None = None
    varied: bool = True  # whether it draws its styles
    # how many real pictures the generator was trained on, where that is known
    trained_on: int | None = None


def lacking(protocol: Protocol, metric: str, sets: Sets, net: pretrained.Net) -> str | None:
    """What a metric needs that is not there, as one sentence with the fix; None: nothing."""
    few = {"kid": 3, "fid": net.dim + 1, "is": 10, "precision_recall": 4, "density_coverage": 6, "diversity": 2,
           "memorisation": 2, "robustness": 3, "usefulness": 2, "label_accuracy": 2}.get(metric, 3)  # fmt: skip
    reference = min(protocol.reference, sets.real.count)
    if metric == "fid" and not net.dim:
        return f"fid needs a net of a fixed number of features, and {net.name} has none."
    if sets.fake.count < few:
        return (
            f"{metric} needs at least {few:,} generated images, got {sets.fake.count:,}: make more"
            " (config.eval.images)."
        )
    if metric not in ("is", "diversity") and reference < few:
        return (
            f"{metric} needs at least {few:,} real images, got {reference:,}: give more"
            " (config.eval.reference)."
        )
    if metric in USE_HELD_OUT and sets.held_out is not None and sets.held_out.count < 3:
        return f"{metric} needs at least 3 held-back images, got {sets.held_out.count}."
    if metric in TRANSLATORS:
        return _lacking_of_translator(protocol, metric, sets)
    if metric == "is" and not net.n_logits:
        return (
            f"is needs a net that classifies, and {net.name} does not: use features='inception' or"
            " 'efflite0'."
        )
    if metric == "diversity" and sets.fake.classes:
        counts = np.bincount(sets.fake.labels, minlength=len(sets.fake.classes))
        if counts.min() < 2:
            name = sets.fake.classes[int(counts.argmin())]
            return (
                f"diversity needs at least 2 generated images of each class, and {name!r} has"
                f" {counts.min()}."
            )
    if metric in ("usefulness", "label_accuracy"):
        if sets.fake.labels is None or sets.real.labels is None:
            return (
                f"{metric} needs labels on both sides: a conditional generator, folders with class"
                " sub-folders."
            )
        if sets.held_out is None:
            return (
                f"{metric} needs held-back real pictures to test on (config.eval.held_out, as in"
                " {'split': 'test'})."
            )
        if sets.held_out.classes != sets.real.classes or sets.fake.classes != sets.real.classes:
            return f"{metric} needs the same classes on all sides."
        for name, side in (
            ("generated", sets.fake),
            ("real", sets.real),
            ("held-back", sets.held_out),
        ):
            absent = set(range(len(side.classes))) - set(side.labels)
            if absent:
                return (
                    f"{metric} needs images of every class, and {side.classes[min(absent)]!r} has"
                    f" none {name}."
                )
    return None


def _lacking_of_translator(protocol: Protocol, metric: str, sets: Sets) -> str | None:
    if sets.contents is None:
        return f"{metric} is of translators, which turn pictures into pictures."
    if metric == "fidelity" and sets.truth is None:
        return "fidelity needs each picture's true translation: config.data.source='paired'."
    if metric == "fidelity" and min(sets.real.load(np.arange(1)).shape[1:3]) < SMALLEST_SSIM:
        return f"fidelity needs pictures of at least {SMALLEST_SSIM} pixels a side."
    if metric == "attributes" and not (sets.contents.colors and sets.real.colors):
        return (
            "attributes needs pictures whose skin and hair are known: config.data.source='avatars'."
        )
    if metric == "variety" and not sets.varied:
        return "variety needs a translator that draws its styles; this one has one style."
    if metric in ("style", "identity") and sets.contents.count < 3:
        return (
            f"{metric} needs at least 3 pictures to translate, got {sets.contents.count}"
            " (config.eval.held_out)."
        )
    if metric == "style" and sets.real.classes:
        order = np.random.default_rng(protocol.seed).permutation(sets.real.count)[
            : min(protocol.reference, KEEP)
        ]
        counts = np.bincount(sets.real.labels[order], minlength=len(sets.real.classes))
        if counts.min() < 3:
            few = sets.real.classes[int(counts.argmin())]
            return (
                f"style needs at least 3 real pictures of each style, and {few!r} has"
                f" {counts.min()}: raise config.eval.reference."
            )
        away = (
            sets.contents.labels[np.arange(sets.fake.count) % sets.contents.count]
            != sets.fake.labels
        )
        counts = np.bincount(sets.fake.labels[away], minlength=len(sets.real.classes))
        if counts.min() < 3:
            few = sets.real.classes[int(counts.argmin())]
            return (
                f"style needs at least 3 pictures that change to each style, and {few!r} has"
                f" {counts.min()}: raise config.eval.images."
            )
    return None
