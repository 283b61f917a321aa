"""How good a model is, on pictures that it has not seen: figures and JSON. Needs no torch.

    python -m training.evaluate --model models/bikes --images pictures/test --json figures.json

`dropsort evaluate --html FILE` also writes a page.

`--others` names pictures of anything else, to see how many of them pass; `--choose-on` names labelled held-out pictures to
choose the threshold on anew. Without it the threshold is the model's own, chosen when it was trained.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from training import dataset, inference, twins
from training.dataset import Dataset, Picture
from training.errors import TrainingError
from training.measures import metrics, reference
from training.measures.evaluation import Answers, Evaluation
from training.pictures import duplicates

Progress = Callable[[int, int], None]
SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".avif"}


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
    return Answers(list(pictures), probabilities, familiarity, judged="familiarity" in model.outputs)


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
        Names of test pictures with a near-duplicate in training; None looks for a published list near the pictures. Those
        that the hashes find are added where `data` has a train part.
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
            held.confidence, held.probabilities.argmax(1) == truth, precision or 0.99, 1 / len(model.labels)
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
    train = data.part("train") if duplicates.available() else []
    twin = twins.alike(test, train) if train else set()
    names = twins.listed(test[0].path.parent) if known_twins is None else known_twins
    return Evaluation(
        model=model.name,
        labels=model.labels,
        answers=answers,
        truth=np.array([model.labels.index(p.label) for p in test], np.int64),
        twin=np.array([p.path in twin or p.path.name in names for p in test]),
        threshold=float(threshold),
        familiarity_threshold=float(own.get("familiarity_threshold", 0.0)),
        threshold_from=source,
        twins_from=[*(["published list"] if names else []), *(["perceptual hashes"] if train else [])],
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
    """`evaluate` for folders: near-duplicates are looked for in a `train` folder beside `images` and in published
    lists, by hashes only where imagehash is installed."""
    data = dataset.read(images)
    beside = images.parent / "train"
    if images.is_dir() and images.name == "test" and beside.is_dir() and duplicates.available():
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
    options.add_argument("--reference", type=Path, help="file for the answers, as the reference of drift")
    arguments = vars(options.parse_args(argv))
    figures, answers = (arguments.pop(name) for name in ("json", "reference"))
    try:
        evaluation = evaluate_path(arguments.pop("model"), arguments.pop("images"), **arguments)
    except TrainingError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    text = json.dumps(evaluation.summary(), indent=2)
    print(text)
    if figures:
        figures.write_text(text + "\n")
    if answers:
        reference.write(answers, evaluation.answers, evaluation.labels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
