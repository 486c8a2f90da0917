"""What a run measures, and how: config.eval."""

import dataclasses

from gan_jax import pretrained
from gan_jax.evaluation import measures
from gan_jax.evaluation.probes import Usefulness
from gan_jax.runtime import registry


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is measured and how: config.eval. With the seed it fixes every digit.

    Attributes:
        metrics: names of measures (gan_jax/evaluation/measures/), or dotted paths of your own.
        images: generated ones.
        reference: real ones, drawn from the training split by the seed; all, where there are fewer.
        features: a name in pretrained.NETS, or several, "vgg16,efflite0" or a tuple: each value is
            measured by each. A game that learns through one of them gets an independent one beside
            it.
        weights: its file; None: the installed package's. Of several nets a tuple, or files with
            commas between them, nothing for None: "pt_inception.pth,".
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
        truncation: of z: below 1 pictures are likelier and less varied; None: z as in training.
        seed: of z, of labels, of which real pictures are taken.
        batch: pictures a device sees at a time.
        best: the value by which the best checkpoint is kept, as "kid_efflite0". None: the first
            value of the first of `metrics`, controls and standard errors passed over; one of
            single classes or of translations alone only where there is no other.
        robustness_images: of a set, for each corruption and strength.
        usefulness: arguments of probes.Usefulness.
    """

    metrics: tuple[str, ...] = ("kid", "precision_recall")
    images: int = 1000
    reference: int = 10_000
    features: str | tuple[str, ...] = "efflite0"
    weights: str | tuple[str | None, ...] | None = None
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
        measures.find(self.metrics or ("",))
        self.nets()
        self.probe()
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

    def nets(self) -> list[tuple[str, str | None]]:
        """(name, its file or None) of each network in `features`, each once."""
        names = self.features.split(",") if isinstance(self.features, str) else self.features
        names, files = [name.strip() for name in names], self.weights
        for name in names or [""]:
            registry.choose(pretrained.NETS, name, "config.eval.features")
        if len(set(names)) < len(names):
            raise ValueError(f"config.eval.features={self.features!r}: a network stands twice.")
        if isinstance(files, str):  # of one net it may be "trunk,heads"
            files = files.split(",") if len(names) > 1 else [files]
        files = [file or None for file in files or [None] * len(names)]
        if len(files) != len(names):
            raise ValueError(
                f"config.eval.weights={self.weights!r}: {len(files)} files for {len(names)}"
                " networks in config.eval.features; give one each, None where a package has it."
            )
        return list(zip(names, files, strict=True))

    def probe(self) -> Usefulness:
        """How the classifiers of some measures are trained."""
        return registry.build(Usefulness, self.usefulness, "config.eval.usefulness")

    def apart(self, choosing: bool) -> tuple[dict | None, str]:
        """(settings of the pictures that training never saw, where they stand); choosing: a
        checkpoint, by the numbers."""
        if choosing and self.validation is not None:
            return self.validation, "config.eval.validation"
        return self.held_out, "config.eval.held_out"
