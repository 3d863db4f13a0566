"""Settings of Tag N' Train: the paper's, and what it leaves open."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from ml.classifiers import BDTSettings, ClassifierName, MLPSettings
from ml.detector import Detector
from ml.errors import TrainingError
from ml.image_batches import JetImageSettings
from ml.image_tagger import ImageTaggerSettings
from ml.inputs import InputSettings
from ml.objects import ORDERED_BY, CombinationName, OrderName, event_names, jet_names
from ml.registry import detector_class, detector_from_settings
from ml.tagger import TaggerSettings, require_features

INNER_FOLDS = 2  # by default
JET = "jet_"  # how columns of an object begin, see `ml.objects.jet_names`


@dataclass(frozen=True)
class WeakSettings:
    """The classifier that tags first, one for each object.

    Attributes:
        type: any detector that needs neither labels nor a window nor anything but data; by default "autoencoder", and
            "image_autoencoder" for images.
        settings: its settings; `features` are columns of an object, "jet_m" for the mass of either jet, and by default
            those of Tag N' Train. Whose images, and what they are, are not among them: both objects' are as Tag N'
            Train has them.
    """

    type: str | None = None
    settings: dict = field(default_factory=dict)

    def detector(self, features: tuple[str, ...], images: JetImageSettings | None) -> Detector:
        """An untrained one, for objects with these columns, or with such images."""
        type_ = self.type or ("autoencoder" if images is None else "image_autoencoder")
        known = {one.name for one in fields(detector_class(type_)[1])}
        inputs, usual = ("features", "autoencoder") if images is None else ("images", "image_autoencoder")
        if inputs not in known:
            raise TrainingError(f"weak.type {type_!r} cannot tag first with inputs {inputs!r}: take {usual!r}")
        given: dict[str, Any] = {"features": list(features)} if images is None else {"images": asdict(images)}
        for key in ("images", "jet") if images is not None else ():
            if key in self.settings:
                raise TrainingError(
                    f"weak.settings.{key} has no effect: each object has a weak classifier of its own, of the same "
                    "`images` as all; leave it out"
                )
        detector = detector_from_settings(type_, {**given, **self.settings})
        if detector.uses_labels or detector.windowed or detector.needs != {"data"}:
            raise TrainingError(
                f"weak.type {type_!r} cannot tag first: it has to learn from data alone, without labels, "
                f"simulation or window; take {usual!r}{' or ' + repr('latent_vae') if images is None else ''}"
            )
        foreign = [name for name in detector.settings.columns if not name.startswith(JET)]
        if foreign:
            expected = [f"{JET}{name.removeprefix('j1_').removeprefix('j2_')}" for name in foreign]
            raise TrainingError(
                "weak.settings: a weak classifier reads columns of one object, 'jet_m' for j1_m of one and j2_m of the "
                f"other: got {foreign}, expected {list(dict.fromkeys(expected))}"
            )
        return detector


@dataclass(frozen=True)
class TNTSettings(InputSettings):
    """Tag N' Train on features or images of two jets (arXiv:2002.12376).

    Attributes:
        inputs, images, network: see `ml.inputs.InputSettings`; a network sees the image of one object. The paper's are
            images.
        features: quantities of each jet that are its classifier's inputs: "m" is j1_m and j2_m.
        combination: what makes the score of the event: "both" (the lower percentile of its objects, the paper's) or
            "odds" (the sum of their log-odds, see `ml.objects.joint_score`; weak classifiers give none).
        object_order: which jet is the first object, the one of larger pt or of larger mass (the paper's). Ordering by
            mass makes the two jets' masses depend on each other, in background, too.
        weak: the classifiers that tag first.
        iterations: how often classifiers are trained on what those of the iteration before tag; 0 leaves the weak
            ones, with the same selection of events.
        signal_fractions: share of the events, those of highest score, that are rich in signal, iteration by iteration;
            the last one holds for all later ones.
        background_fraction: share of the events, those of lowest score, that are rich in background.
        scheme: disjoint (each iteration, and the weak classifiers, have events of their own: the paper's) or folds
            (cross-fitted within the training events, none wasted; see `ml.tagging.Split`).
        inner_folds: how many, for the latter.
        tag_with: other (the other object tags), or same (an object tags itself: cannot learn more than its first tagger
            knew, appendix A; a cautionary example).
        mass_window: signal-rich events lie in the signal window, too (TNT + M_jj); false needs no window.
        pt_reweighting: weight background-rich objects to the pT distribution of signal-rich ones (the paper does not).
            Both jets' features follow the event's scale: without it classifiers learn that of the window, and both do.
        soft_labels: labels between 0 and 1 by the rank of the tag (footnote 4); for `classifier: mlp`, and for images.
        classifier: bdt or mlp. Signal-rich samples are small (a hundredth of the events), and what is to be found in
            them may be narrow in a jet's mass: trees need less of both.
        members, truncation, mlp, bdt: see `ml.tagger.TaggerSettings`.
    """

    features: tuple[str, ...] = ("m", "tau21", "tau32")
    combination: CombinationName = "both"
    object_order: OrderName = "pt"
    weak: WeakSettings = field(default_factory=WeakSettings)
    iterations: int = 3
    signal_fractions: tuple[float, ...] = (0.2, 0.1)
    background_fraction: float = 0.4
    scheme: Literal["disjoint", "folds"] = "folds"
    inner_folds: int = INNER_FOLDS
    tag_with: Literal["other", "same"] = "other"
    mass_window: bool = True
    pt_reweighting: bool = True
    soft_labels: bool = False
    classifier: ClassifierName = "bdt"
    members: int = 4
    truncation: float = 0.0
    mlp: MLPSettings = field(default_factory=MLPSettings)
    bdt: BDTSettings = field(default_factory=BDTSettings)

    def __post_init__(self) -> None:
        require_features(self.features)
        whole = [name for name in self.features if name.startswith(("j1_", "j2_", "jet_"))]
        if whole:
            raise TrainingError(
                f"features are named without their jet, 'm' for j1_m and j2_m: got {whole}, expected "
                f"{[name.split('_', 1)[1] for name in whole]}"
            )
        self._check_tags()
        self.refuse_unread()
        _ = self.tagger

    def _check_tags(self) -> None:
        """Raise TrainingError for settings of iterations and tags that cannot be."""
        if self.iterations < 0 or self.inner_folds < 2:
            raise TrainingError(
                f"iterations must be at least 0 and inner_folds at least 2: got {self.iterations} and "
                f"{self.inner_folds}"
            )
        self._check_fractions()
        self._refuse_ignored()
        self.weak_detector()

    def _check_fractions(self) -> None:
        # compared so that NaN is refused, too
        if not self.signal_fractions or not all(one > 0 for one in (*self.signal_fractions, self.background_fraction)):
            raise TrainingError(
                "signal_fractions (at least one) and background_fraction must be above 0: got "
                f"{list(self.signal_fractions)} and {self.background_fraction:g}"
            )
        if not max(self.signal_fractions) + self.background_fraction <= 1:
            raise TrainingError(
                f"signal_fractions {list(self.signal_fractions)} and background_fraction {self.background_fraction:g} "
                "overlap: an event is rich in one or the other, so they must not sum to more than 1"
            )

    def _refuse_ignored(self) -> None:
        if self.combination == "odds" and not self.iterations:
            raise TrainingError("combination 'odds' needs trained classifiers, and iterations 0 has none: take 'both'")
        if self.soft_labels and self.classifier == "bdt" and self.inputs == "features":
            raise TrainingError("soft_labels need classifier 'mlp': boosted trees take labels of 0 and 1")
        if self.inner_folds != INNER_FOLDS and self.scheme != "folds":
            raise TrainingError("inner_folds has no effect with scheme 'disjoint': leave it out, or take 'folds'")

    @property
    def quantities(self) -> tuple[str, ...]:
        """What is read of each jet: inputs, what orders them, and what tags need; images are not among them."""
        inputs = self.features if self.inputs == "features" else ()
        return tuple(dict.fromkeys((*inputs, ORDERED_BY[self.object_order], *self.tag_quantities)))

    @property
    def tag_quantities(self) -> tuple[str, ...]:
        """What is read of each jet for the sake of tags: the weak classifier's columns, and pT for the weights."""
        weak = tuple(name.removeprefix(JET) for name in self.weak_detector().settings.columns)
        return (*weak, *(("pt",) if self.pt_reweighting else ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have."""
        return event_names(self.quantities)

    @property
    def parts(self) -> int:
        """Parts that training events are shared out to."""
        return self.inner_folds if self.scheme == "folds" else 1 + self.iterations

    @property
    def tagger(self) -> TaggerSettings | ImageTaggerSettings:
        """The classifier of one object."""
        if self.inputs == "images":
            return self.network
        return TaggerSettings(
            features=jet_names(self.features),
            classifier=self.classifier,
            members=self.members,
            truncation=self.truncation,
            mlp=self.mlp,
            bdt=self.bdt,
        )

    def weak_detector(self) -> Detector:
        """The untrained classifier that tags first, of one object."""
        return self.weak.detector(jet_names(self.features), self.images if self.inputs == "images" else None)

    def fractions(self, iteration: int) -> dict[str, Any]:
        """Shares of the events that are rich in signal and in background, for `ml.tagging.tag`; iterations from 1."""
        signal = self.signal_fractions[min(iteration, len(self.signal_fractions)) - 1]
        return {"signal_fraction": signal, "background_fraction": self.background_fraction}
