"""How good a model is, on pictures that it has not seen: figures, JSON and a page. Needs no torch.

    python -m training.evaluate --model models/bikes --images pictures/test --json figures.json --html page.html

`--others` names pictures of anything else, to see how many of them pass; `--choose-on` names labelled held-out pictures to
choose the threshold on anew. Without it the threshold is the model's own, chosen when it was trained.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from training import dataset, inference, metrics, twins
from training.dataset import Dataset, Picture
from training.errors import TrainingError

Progress = Callable[[int, int], None]
SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".avif"}


@dataclass(frozen=True)
class Answers:
    """A model's answers to pictures: probabilities [N, K], familiarity [N] (1 where the model has none)."""

    pictures: list[Picture]
    probabilities: NDArray[np.float64]
    familiarity: NDArray[np.float64]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The largest probability of each picture, [N]."""
        largest: NDArray[np.float64] = self.probabilities.max(1)
        return largest

    def classified(self, threshold: float, familiarity_threshold: float) -> NDArray[np.bool_]:
        """Whether each picture would be filed as classified, [N]."""
        return (self.confidence >= threshold) & (self.familiarity >= familiarity_threshold)


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found; `summary` is its JSON, `training.report` its page."""

    model: str
    labels: list[str]
    answers: Answers
    truth: NDArray[np.int64]
    twin: NDArray[np.bool_]  # has a near-duplicate among the training pictures
    threshold: float
    familiarity_threshold: float
    threshold_from: str
    others: Answers | None = None
    bad: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the largest probability is that of the true label, [N]."""
        right: NDArray[np.bool_] = self.answers.probabilities.argmax(1) == self.truth
        return right

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Whether each picture is filed as classified, [N]."""
        return self.answers.classified(self.threshold, self.familiarity_threshold)

    def summary(self) -> dict[str, Any]:
        """The figures as a dict that JSON can hold (NaN as null)."""
        confidence, correct, kept = self.answers.confidence, self.correct, self.kept
        sure = confidence >= self.threshold
        hits = int(correct.sum())
        rest = ~self.twin
        found: dict[str, Any] = {
            "model": self.model,
            "labels": self.labels,
            "images": len(correct),
            "accuracy": hits / len(correct),
            "accuracy_interval": list(metrics.wilson(hits, len(correct))[1:3]),
            "near_duplicates": int(self.twin.sum()),
            "accuracy_without_near_duplicates": float(correct[rest].mean()) if rest.any() else math.nan,
            "accuracy_without_near_duplicates_interval": list(
                metrics.wilson(int(correct[rest].sum()), int(rest.sum()))[1:3]
            ),
            "confusion": metrics.confusion(
                self.truth, self.answers.probabilities.argmax(1), len(self.labels)
            ),
            "ece": metrics.ece(confidence, correct),
            "brier": metrics.brier(self.answers.probabilities, self.truth),
            "log_loss": metrics.log_loss(self.answers.probabilities, self.truth),
            "auroc": metrics.auroc(confidence[correct], confidence[~correct]),
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "familiarity_threshold": self.familiarity_threshold,
            "coverage": float(sure.mean()),
            "precision": float(correct[sure].mean()) if sure.any() else math.nan,
            "coverage_with_guard": float(kept.mean()),
            "precision_with_guard": float(correct[kept].mean()) if kept.any() else math.nan,
            "guard_cost": float(sure.mean() - kept.mean()),
            "bad_files": len(self.bad),
        }
        if self.others is not None:
            passed = self.others.classified(self.threshold, self.familiarity_threshold)
            found["others"] = {
                "images": len(passed),
                "classified": int(passed.sum()),
                "classified_share": metrics.wilson(int(passed.sum()), len(passed))._asdict(),
                "confident_share": float((self.others.confidence >= self.threshold).mean()),
                "familiarity_auroc": metrics.auroc(self.answers.familiarity, self.others.familiarity),
            }
        return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, list) else value


def load_model(folder: Path) -> tuple[inference.Model, dict[str, Any]]:
    """A model and its metrics.json (empty if there is none); TrainingError says what is wrong with the folder."""
    try:
        model = inference.load(folder)
        path = Path(folder) / "metrics.json"
        return model, json.loads(path.read_text()) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise TrainingError(str(error)) from None


def ask(
    model: inference.Model, pictures: Sequence[Picture], progress: Progress = lambda done, total: None
) -> Answers:
    """The model's answers; pictures that cannot be read are to be left out before."""
    probabilities, familiarity = np.zeros((len(pictures), len(model.labels))), np.ones(len(pictures))
    for i, picture in enumerate(pictures):
        answer = model.run(inference.decode(picture.path.read_bytes()))
        probabilities[i] = answer["probabilities"]
        familiarity[i] = answer.get("familiarity", 1.0)
        progress(i + 1, len(pictures))
    return Answers(list(pictures), probabilities, familiarity)


def evaluate(
    model_folder: Path,
    data: Dataset,
    *,
    threshold: float | None = None,
    precision: float | None = None,
    choose_on: Dataset | None = None,
    others: Sequence[Picture] = (),
    known_twins: set[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Evaluates on the test part of `data`, or on all of it where it has no parts.

    Parameters
    ----------
    threshold
        Confidence from which on a picture counts as classified; None takes it from `choose_on` (for `precision`, by
        default 0.99) or the model's metrics.json.
    choose_on
        Held-out pictures that are neither in training nor in `data`.
    others
        Pictures of none of the classes.
    known_twins
        Names of test pictures with a near-duplicate in training; those that the hashes find are added where `data` has a
        train part.
    """
    model, own = load_model(model_folder)
    test = data.part("test") or data.pictures
    unknown = sorted({p.label for p in test} - set(model.labels))
    if unknown:
        raise TrainingError(
            f"{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} no label of this model "
            f"({', '.join(model.labels)}): the folders' names must be its labels; give other pictures as others"
        )
    if threshold is not None:
        source = "given"
    elif choose_on is not None:
        held = ask(model, choose_on.pictures)
        truth = np.array([model.labels.index(p.label) for p in choose_on.pictures])
        chosen = metrics.choose_threshold(
            held.confidence, held.probabilities.argmax(1) == truth, precision or 0.99
        )
        threshold, source = (
            chosen.value,
            f"chosen for precision {precision or 0.99} on {len(truth)} held-out pictures",
        )
    else:
        if precision is not None and precision != own.get("wanted_precision"):
            raise TrainingError(
                "another precision needs held-out pictures to choose the threshold on: --choose-on FOLDER"
            )
        threshold, source = (
            own.get("threshold", 0.93),
            "the model's metrics.json" if "threshold" in own else "default",
        )
    total = len(test) + len(others)
    answers = ask(model, test, lambda done, _: progress(done, total))
    other = ask(model, others, lambda done, _: progress(len(test) + done, total)) if others else None
    twin = twins.alike(test, data.part("train")) if data.part("train") else set()
    names = known_twins or set()
    return Evaluation(
        model=model.name,
        labels=model.labels,
        answers=answers,
        truth=np.array([model.labels.index(p.label) for p in test], np.int64),
        twin=np.array([p.path in twin or p.path.name in names for p in test]),
        threshold=float(threshold),
        familiarity_threshold=float(own.get("familiarity_threshold", 0.0)),
        threshold_from=source,
        others=other,
        bad=data.bad,
    )


def evaluate_path(
    model_folder: Path,
    images: Path,
    *,
    others: Path | None = None,
    choose_on: Path | None = None,
    threshold: float | None = None,
    precision: float | None = None,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """`evaluate` for folders: near-duplicates are looked for in a `train` folder beside `images` and in published lists."""
    data = dataset.read(images)
    beside = images.parent / "train"
    if images.is_dir() and images.name == "test" and beside.is_dir():
        more = dataset.read(beside, check=False).pictures
        parts = [(p, "test") for p in data.pictures] + [(p, "train") for p in more]
        data = Dataset(data.labels, [Picture(p.path, p.label, part) for p, part in parts], data.bad)
    return evaluate(
        model_folder,
        data,
        threshold=threshold,
        precision=precision,
        choose_on=dataset.read(choose_on) if choose_on else None,
        others=loose(others) if others else (),
        known_twins=twins.listed(images),
        progress=progress,
    )


def loose(folder: Path) -> list[Picture]:
    """Every readable picture below a folder, without a label; TrainingError if there is none."""
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    found = []
    for path in paths:
        try:
            inference.decode(path.read_bytes())
        except inference.InferenceError:
            continue
        found.append(Picture(path, ""))
    if not found:
        raise TrainingError(f"{folder} holds no readable picture")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0, or 1 with a sentence on stderr."""
    options = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=(__doc__ or "").split("\n")[0]
    )
    options.add_argument("--model", type=Path, default=Path("models/bikes"))
    options.add_argument("--images", type=Path, required=True, help="labelled pictures, one folder a class")
    options.add_argument("--others", type=Path, help="pictures of none of the classes")
    options.add_argument(
        "--choose-on", type=Path, help="labelled held-out pictures to choose the threshold on"
    )
    options.add_argument("--precision", type=float, help="wanted of the classified pictures (0.99)")
    options.add_argument("--threshold", type=float)
    options.add_argument("--json", type=Path, help="file for the figures")
    options.add_argument("--html", type=Path, help="file for the page")
    arguments = vars(options.parse_args(argv))
    figures, page = arguments.pop("json"), arguments.pop("html")
    try:
        evaluation = evaluate_path(arguments.pop("model"), arguments.pop("images"), **arguments)
    except TrainingError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    text = json.dumps(evaluation.summary(), indent=2)
    print(text)
    if figures:
        figures.write_text(text + "\n")
    if page:
        from training import report

        page.write_text(report.page(evaluation), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
