"""Sets of pictures -> all that a protocol asks about them. The measures are in metrics/, the
features in pretrained/."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from gan_jax.data import corruptions
from gan_jax.data.cache import cache_root
from gan_jax.data.images import grid, save_sheet
from gan_jax.evaluation import features, translations
from gan_jax.evaluation.features import Extractor, Images, Statistics
from gan_jax.evaluation.probes import Labelled, MeanStd, Usefulness
from gan_jax.evaluation.protocol import KEEP, SMALLEST_SSIM, Protocol, Sets, lacking
from gan_jax.metrics import diversity, frechet, kid, manifold, pixels
from gan_jax.runtime import registry

Log = Callable[[str], None]

AUDIT = 50_000  # training images that memorisation looks among
FEW_SHOT = 100  # real images, up to which each is the centre of a cluster
SHOWN = 16  # neighbours in the picture


def measure(
    protocol: Protocol, sets: Sets, extractor: Extractor, folder: pathlib.Path | None, log: Log
) -> dict:
    """All of `protocol.metrics`: {"values", "curves", "groups", "tables", "pictures", "notes"}.

    "notes": a value's name -> what must be said beside it.

    Args:
        folder: for pictures; None: none are drawn.
    On several processes all take part, and process 0 has the numbers; the others' record is of no
    use.
    Raises:
        ValueError: a metric lacks something; says what.
    """
    for metric in protocol.metrics:
        reason = lacking(protocol, metric, sets, extractor.net)
        if reason:
            raise ValueError(reason)
    return _Measuring(protocol, sets, extractor, folder, log).record()


class _Measuring:
    """One evaluation under way."""

    def __init__(self, protocol, sets, extractor, folder, log):
        self.protocol, self.sets, self.extractor, self.folder, self.log = (
            protocol,
            sets,
            extractor,
            folder,
            log,
        )
        self.suffix, self.first = extractor.net.suffix, jax.process_index() == 0
        self.result = {
            "values": {},
            "curves": {},
            "groups": {},
            "tables": {},
            "pictures": {},
            "notes": {},
        }
        order = self._order(sets.real)
        self.reference_ids, self.audit_ids = order[: protocol.reference], order[:AUDIT]

    def _order(self, images: Images) -> np.ndarray:
        """A set shuffled by the seed: folders come sorted, class after class, and any part must
        stand for the whole."""
        return np.random.default_rng(self.protocol.seed).permutation(images.count)

    def record(self) -> dict:
        for metric in self.protocol.metrics:
            getattr(self, f"_{metric}")()
        return {name: part for name, part in self.result.items() if part or name == "values"}

    def _value(self, name: str, value: float) -> None:
        self.result["values"][f"{name}{self.suffix}"] = float(value)

    # --- what the metrics are made of, each computed when first asked for

    def _asks(self, metric: str) -> bool:
        return metric in self.protocol.metrics

    @functools.cached_property
    def fake(self) -> Statistics:
        ids = self._order(self.sets.fake)
        how = {"keep": KEEP, "moments": self._asks("fid"), "score": self._asks("is")}
        return features.statistics(self.sets.fake, ids, self.extractor, **how)

    @functools.cached_property
    def real(self) -> Statistics:
        return self._cached(self.sets.real, self.reference_ids, KEEP)

    @functools.cached_property
    def train(self) -> Statistics:
        """All training images, or AUDIT of them."""
        if len(self.audit_ids) == len(self.reference_ids) <= KEEP:
            return self.real
        return self._cached(self.sets.real, self.audit_ids, AUDIT)

    @functools.cached_property
    def held_out(self) -> Statistics | None:
        if self.sets.held_out is None:
            return None
        return self._cached(self.sets.held_out, self._order(self.sets.held_out)[:KEEP], KEEP)

    def _cached(self, images, ids, keep):
        moments = self._asks("fid") and images is self.sets.real and ids is self.reference_ids
        how = {"keep": keep, "moments": moments, "log": self.log}
        return features.cached(cache_root(), images, ids, self.extractor, **how)

    def _alike(self) -> tuple[np.ndarray, np.ndarray]:
        """(real, generated) features, equally many."""
        m = min(len(self.real.kept), len(self.fake.kept))
        return self.real.kept[:m], self.fake.kept[:m]

    # --- the metrics; what needs several processes comes before the first `if self.first`

    def _kid(self):
        fake, real = self.fake, self.real
        if self.first:
            found = kid.kid(real.kept, fake.kept)
            self._value("kid", found.value)
            self.result["values"][f"kid{self.suffix}_se"] = found.se

    def _fid(self):
        fake, real = self.fake, self.real
        if self.first:
            self._value("fid", frechet.frechet_distance(real.moments, fake.moments))

    def _is(self):
        if self.fake.score:
            self._value("is", self.fake.score.mean)
            self.result["values"][f"is{self.suffix}_std"] = self.fake.score.std

    def _precision_recall(self):
        real, fake = self._alike()
        if self.first:
            for name, value in zip(
                ("precision", "recall"), manifold.precision_recall(real, fake), strict=True
            ):
                self._value(name, value)

    def _density_coverage(self):
        real, fake = self._alike()
        if self.first:
            for name, value in zip(
                ("density", "coverage"), manifold.density_coverage(real, fake), strict=True
            ):
                self._value(name, value)

    def _diversity(self):
        fake, real = self.fake, self.real
        if not self.first:
            return
        squared = self.extractor.net.name.startswith("lpips")
        self._value("diversity", diversity.pairwise(fake.kept, squared))
        self._value("diversity_real", diversity.pairwise(real.kept, squared))
        if self.sets.real.count <= FEW_SHOT:
            self._value(
                "diversity_clusters", diversity.within_clusters(fake.kept, real.kept, squared)
            )
        for name, images, found in (
            ("diversity", self.sets.fake, fake),
            ("diversity_real", self.sets.real, real),
        ):
            if not self.sets.fake.classes or images.labels is None:
                continue
            labels = images.labels[found.ids[: len(found.kept)]]
            if np.bincount(labels, minlength=len(images.classes)).min() > 1:
                groups = diversity.within_classes(found.kept, labels, images.classes, squared)
                self.result["groups"][f"{name}{self.suffix}"] = groups
            else:
                self.log(
                    f"{name} by class is left out: a class has fewer than 2 of these pictures."
                )

    def _memorisation(self):
        fake, train, held_out = self.fake, self.train, self.held_out
        if not self.first:
            return
        found = manifold.neighbours(train.kept, fake.kept)
        self._value("memorised", found.memorised)
        if held_out is not None:
            self._value(
                "memorised_held_out", manifold.neighbours(train.kept, held_out.kept).memorised
            )
        if self.folder is not None:
            self._show(found)

    def _show(self, found: manifold.Neighbours) -> None:
        worst = found.closest(SHOWN)
        columns = [
            self.sets.fake.load(self.fake.ids[worst]),
            self.sets.real.load(self.train.ids[found.nearest[worst]]),
            self.sets.real.load(self.train.ids[found.other[worst]]),
        ]
        columns = [
            np.pad(column, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
            for column in columns
        ]
        triples = np.pad(
            np.concatenate(columns, 2), ((0, 0), (0, 0), (4, 4), (0, 0)), constant_values=255
        )
        try:
            path = save_sheet(self.folder, "neighbours.png", grid(triples, 4))
        except OSError as error:
            self.log(f"the picture of neighbours can't be written: {error}. Going on without.")
            return
        self.result["pictures"]["neighbours"] = {
            "file": str(path),
            "caption": (
                f"The {len(worst)} generated pictures closest to copies, the closest first, in"
                " threes: generated, the nearest training image, that one's own nearest training"
                " image."
            ),
        }

    def _robustness(self):
        real, sets = self.real, {"": self.sets.fake}
        if self.sets.held_out is not None:
            sets["held_out/"] = self.sets.held_out
        if self.sets.contents is not None:
            self._robustness_of_translator()
            return
        for prefix, images in sets.items():
            ids = self._order(images)[: self.protocol.robustness_images]

            def distance(images, ids=ids):
                found = features.statistics(images, ids, self.extractor, keep=len(ids))
                return (
                    {f"kid{self.suffix}": kid.kid(real.kept, found.kept).value}
                    if self.first
                    else {}
                )

            self.log(
                f"robustness of {'held-back real' if prefix else 'generated'} pictures, {len(ids)}"
                " a strength"
            )
            found = robustness(images, distance)
            self.result["curves"] |= {f"{prefix}{name}": curve for name, curve in found.items()}

    def _robustness_of_translator(self):
        """What becomes of corrupted inputs: their translations' kid, and their likeness to the
        clean ones' translations."""
        count = min(self.protocol.robustness_images, self.sets.fake.count)
        labels = None if self.sets.fake.labels is None else self.sets.fake.labels[:count]
        ids, real = np.arange(count), self.real
        clean = self.sets.fake.load(ids)

        def distance(contents):
            made = features.held(self.sets.translate(contents, labels), ids)
            found = features.statistics(made, ids, self.extractor, keep=count)
            if not self.first:
                return {}
            values = {f"kid{self.suffix}": kid.kid(real.kept, found.kept).value}
            if min(clean.shape[1:3]) >= SMALLEST_SSIM:
                values["ssim_to_clean"] = float(pixels.ssim(made.load(ids), clean).mean())
            return values

        self.log(f"robustness of translations of {count} pictures a strength")
        wanted = dataclasses.replace(self.sets.contents, count=min(count, self.sets.contents.count))
        self.result["curves"] |= robustness(wanted, distance)

    # --- of translators

    def _embed(self, images: Images, ids: np.ndarray) -> np.ndarray:
        return features.statistics(images, ids, self.extractor, keep=len(ids)).kept

    def _fidelity(self):
        if self.first:
            self.result["values"] |= translations.fidelity(
                self.made, self.sets.truth, self.sets.contents
            )

    def _style(self):
        sets = self.sets
        contents = np.arange(min(sets.contents.count, sets.fake.count))
        fake, before = (
            self._embed(self.made, np.arange(sets.fake.count)),
            self._embed(sets.contents, contents),
        )
        real = self.real
        if not self.first:
            return
        labels = None
        if sets.real.classes:
            labels = (
                sets.fake.labels,
                sets.contents.labels[contents],
                sets.real.labels[real.ids[: len(real.kept)]],
            )
        found = translations.style(fake, before, real.kept, labels, sets.real.classes)
        for name, by_style in zip(("style_kid", "style_kid_input"), found, strict=True):
            self._value(name, np.mean(list(by_style.values())))
            if sets.real.classes:
                self.result["groups"][f"{name}{self.suffix}"] = by_style

    def _attributes(self):
        if not self.first:
            return
        judge = registry.build(Usefulness, self.protocol.usefulness, "config.eval.usefulness")
        self.log(f"attributes: classifiers of {', '.join(self.sets.real.colors)}")
        self.result["values"] |= translations.attributes(
            judge, self.made, self.sets.contents, self.sets.real, self.sets.held_out
        )

    def _identity(self):
        contents = np.arange(min(self.sets.contents.count, self.sets.fake.count))
        before, fake = (
            self._embed(self.sets.contents, contents),
            self._embed(self.made, np.arange(self.made.count)),
        )
        for name, value in translations.identity(fake, before).items():
            self._value(name, value)

    def _variety(self):
        squared = self.extractor.net.name.startswith("lpips")
        made = translations.variants(self.sets.translate, self.sets.contents, self.sets.fake)
        self._value("variety", translations.variety(made, self._embed, squared))

    def _shift_error(self):
        value = translations.shift_error(
            self.sets.translate, self.sets.contents, self.sets.fake.labels
        )
        self.result["values"]["shift_error"] = value

    @functools.cached_property
    def made(self) -> Images:
        """The translations, drawn once."""
        return features.held(self.sets.fake, np.arange(self.sets.fake.count))

    def _usefulness(self):
        if not self.first:
            return
        judge = registry.build(Usefulness, self.protocol.usefulness, "config.eval.usefulness")
        labelled = lambda images, ids: Labelled(images.load(ids), images.labels[ids])
        fake = labelled(self.sets.fake, np.arange(self.sets.fake.count))
        n = min(len(self.reference_ids), max(*judge.sizes, len(fake.labels)))
        real = labelled(self.sets.real, self.reference_ids[:n])
        test = labelled(self.sets.held_out, np.arange(self.sets.held_out.count))
        classes = len(self.sets.real.classes)
        self.log(f"usefulness: classifiers of {classes} classes, {judge.seeds} seeds each")
        alone = judge.score([fake], test, classes)
        as_many = min(len(fake.labels), n)
        equal = judge.score([real], test, classes, size=as_many)
        self.result["notes"]["cas_real"] = self._seen(as_many)
        for name, spread in (("cas", alone), ("cas_real", equal)):
            self.result["values"][name] = spread.mean
            if judge.seeds > 1:
                self.result["values"][f"{name}_std"] = spread.std
        rows = []
        for size in judge.sizes:
            if size > n:
                self.log(f"usefulness with {size:,} real images is left out: there are {n:,}.")
            else:
                without = judge.score([real], test, classes, size=size)
                joined = judge.score([real, fake], test, classes, size=size)
                gain = MeanStd.of(
                    [a - b for a, b in zip(joined.scores, without.scores, strict=True)]
                )
                self.result["values"][f"gain_at_{size}"] = gain.mean
                self.result["notes"][f"gain_at_{size}"] = self._seen(size)
                if judge.seeds > 1:
                    self.result["values"][f"gain_at_{size}_std"] = gain.std
                rows.append([size, str(without), str(joined)])
        columns = [
            "real images",
            "accuracy, real only",
            f"accuracy, with {len(fake.labels):,} generated",
        ]
        self.result["tables"]["usefulness"] = {"columns": columns, "rows": rows}

    def _seen(self, size: int) -> str:
        """Whether the comparison with a classifier of `size` real pictures is fair, for the
        generator saw real ones too."""
        seen = self.sets.trained_on
        if seen is None:
            return (
                f"fair only if the generator too was trained on {size:,} real pictures, which is"
                " not known here"
            )
        if seen <= size:
            return (
                f"fair: the generator was trained on {seen:,} real pictures, its control on"
                f" {size:,}"
            )
        return (
            f"flatters: the generator was trained on {seen:,} labelled real pictures, its control"
            f" on {size:,}"
        )

    def _label_accuracy(self):
        if not self.first:
            return
        judge = registry.build(Usefulness, self.protocol.usefulness, "config.eval.usefulness")
        labelled = lambda images, ids: Labelled(images.load(ids), images.labels[ids])
        sides = {
            "": labelled(self.sets.fake, np.arange(self.sets.fake.count)),
            "_real": labelled(self.sets.held_out, np.arange(self.sets.held_out.count)),
        }
        if (contents := self.sets.contents) is not None:
            before = contents.load(np.arange(self.sets.fake.count) % contents.count)
            sides["_input"] = Labelled(before, self.sets.fake.labels)
        real = labelled(self.sets.real, self.reference_ids)
        classes = len(self.sets.real.classes)
        self.log(f"label accuracy: classifiers of {classes} classes, {judge.seeds} seeds")
        fitted = [judge.fit([real], classes, seed) for seed in range(judge.seeds)]
        for name, side in sides.items():
            spread = MeanStd.of([judge.accuracy(variables, side) for variables in fitted])
            self.result["values"][f"label_accuracy{name}"] = spread.mean
            if judge.seeds > 1:
                self.result["values"][f"label_accuracy{name}_std"] = spread.std


def robustness(images: Images, distance: Callable[[Images], dict[str, float]]) -> dict[str, dict]:
    """Curves over corruption strength: name -> corruption -> [[strength, value], ...], the clean
    set first.

    Args:
        images: what is corrupted: generated pictures, or a translator's inputs.
        distance: a set -> numbers of it. For a translator: what it makes of the set, held against
            what it makes of the clean one.
    """
    curves: dict[str, dict] = {}
    clean = distance(images)
    for kind, corruption in corruptions.CORRUPTIONS.items():
        points = [(corruption.clean, clean)]
        points += [
            (strength, distance(images.corrupted(kind, strength)))
            for strength in corruption.strengths
        ]
        for name in clean:
            curves.setdefault(name, {})[kind] = [
                [strength, values[name]] for strength, values in points
            ]
    return curves
