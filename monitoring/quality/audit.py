"""The audit: how precise the classified results are, and the whole stream, by reviews of images that were drawn at random.

Inference ids are SHA-256 digests, so their order is random. It needs no storage, and however far reviewers come in it, what they have
reviewed without a gap from its beginning is a random sample. What they review elsewhere, because its confidence is low or it seemed
wrong, is not part of it.

Days are strata, as reviewers may be further with one day than with another. Low-confidence images are strata of
their own; of the whole stream their share is that of all results.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dropsort.contract import reviews
from dropsort.contract.keys import CLASSIFIED, FAILED, LOW_CONFIDENCE
from dropsort.contract.reviews import Review
from dropsort.contract.statistics import (
    Estimate,
    Interval,
    Stratum,
    stratified,
    trials_for,
    weighted_sum,
)
from dropsort.contract.text import number_of

FEWEST = 30  # reviews in a stratum; days with fewer are merged with their neighbours
HALF_WIDTH = 0.01  # of the interval that further reviews are counted for


@dataclass(frozen=True)
class AuditedResult:
    """A result of the model, and what a reviewer decided of it, if any.

    Parameters
    ----------
    day
        Of the result, ISO 8601; strata are merged in this order.
    outcome
        Of the prediction, before any review.
    correct
        Whether the review confirms the predicted label; None if there is no review.
    key
        Of the upload, to name it.
    model
        Version of the model that predicted; "" if it names none.
    usable
        False if the reviewer found the image unusable: it is neither right nor wrong, and left out.
    """

    inference_id: str
    day: str
    outcome: str
    correct: bool | None = None
    usable: bool = True
    key: str = ""
    model: str = ""


def audited_results(
    results: Iterable[tuple[str, Mapping[str, Any]]], reviewed: Iterable[Review]
) -> list[AuditedResult]:
    """Results and reviews as the audit reads them: the prediction, whoever reviewed it since; failures left out.

    Parameters
    ----------
    results
        Keys of uploads and their result documents.
    reviewed
        The reviews of these uploads.
    """
    of = {review.inference_id: review for review in reviewed}
    found = []
    for key, document in results:
        review = of.get(str(document.get("inference_id")))
        decision = reviews.in_force(review) if review else None
        prediction = review.prediction if review else document
        if document.get("review") and not review:
            continue  # its prediction is not known
        if prediction["outcome"] == FAILED or not prediction.get("inference_id"):
            continue
        usable = decision is None or decision.action != reviews.UNUSABLE
        found.append(
            AuditedResult(
                inference_id=prediction["inference_id"],
                day=str(prediction["times"].get("uploaded") or prediction["times"]["recorded"])[:10],
                outcome=prediction["outcome"],
                correct=decision.label == prediction.get("label") if decision and usable else None,
                usable=usable,
                key=key,
                model=reviews.state_of(prediction).model or "",
            )
        )
    return found


@dataclass(frozen=True)
class OutcomeStrata:
    """Results of one outcome: a stratum per day, in order, and what is not part of them."""

    strata: Sequence[Stratum]
    elsewhere: int = 0
    unusable: int = 0


@dataclass(frozen=True)
class OutcomeAudit:
    """What the audit found of one outcome."""

    size: int  # results that are not known to be unusable
    reviewed: int  # of these at random, without a gap
    elsewhere: int  # reviewed beyond a gap: no part of the estimate
    unusable: int
    estimate: Estimate

    @property
    def known(self) -> bool:
        """Whether the reviews at random are enough to name a share: `FEWEST`, or all there are."""
        return self.reviewed >= min(FEWEST, self.size)


@dataclass(frozen=True)
class Audit:
    """The estimated precision of what is classified, the accuracy of all, and the verdict on the target precision.

    `accuracy` is NaN until `FEWEST` results of each outcome, or all of it, were reviewed at random. `model` is the one whose predictions
    count; `other_models` are predictions of others, which do not.
    """

    target: float
    outcomes: Mapping[str, OutcomeAudit]
    accuracy: float
    accuracy_interval: Interval
    model: str = ""
    other_models: int = 0

    @property
    def classified(self) -> OutcomeAudit:
        """Of what is classified."""
        return self.outcomes[CLASSIFIED]

    @property
    def verdict(self) -> Literal["met", "missed", "undecided"]:
        """Whether the target precision is above the interval (missed), below or at its lower end (met), or within it."""
        low, high = self.classified.estimate.interval
        if high < self.target:
            return "missed"
        return "met" if low >= self.target else "undecided"

    @property
    def shown(self) -> bool:
        """Whether to name the precision: from enough reviews, or from a few that show the target missed."""
        return self.classified.known or self.verdict != "undecided"

    @property
    def more(self) -> int:
        """Further random reviews of classified results after which the precision is known to ± `HALF_WIDTH`."""
        found = self.classified
        left = found.size - found.reviewed
        share = found.estimate.value if found.reviewed else self.target
        if (interval := found.estimate.interval).high - interval.low <= 2 * HALF_WIDTH:
            return 0
        return max(0, min(left, trials_for(share, HALF_WIDTH) - math.floor(found.estimate.trials)))

    def sentences(self) -> list[str]:
        """The findings in words."""
        found = self.classified
        if not found.size:
            return ["Nothing is classified.", *self._others()]
        words = [f"The target precision of {self.target:.1%} {_VERDICTS[self.verdict]}."]
        if not self.shown:
            words.append(
                f"Their precision is not known yet: {number_of(found.reviewed, 'review')} at random, at least"
                f" {min(FEWEST, found.size)} are needed."
            )
        else:
            words.append(
                f"{found.estimate.value:.1%} of {found.size:,} classified images are right ({found.estimate.interval.shares()}), "
                f"by {number_of(found.reviewed, 'review')} at random."
            )
        if self.more:
            words.append(f"Review {self.more:,} more to know it to ± {HALF_WIDTH:.0%}.")
        if not math.isnan(self.accuracy):
            words.append(
                f"{self.accuracy:.1%} of all {sum(one.size for one in self.outcomes.values()):,} predictions are right "
                f"({self.accuracy_interval.shares()})."
            )
        elif few := [name for name, one in self.outcomes.items() if one.size and not one.known]:
            words.append(
                f"The accuracy of all predictions is not known yet: at least {FEWEST} reviews at random of each outcome, or all"
                f" of it, are needed; there are fewer of {' and '.join(few)}."
            )
        return words + self._others()

    def _others(self) -> list[str]:
        if not self.other_models:
            return []
        return [f"{self.other_models:,} predictions of other models than {self.model} are left out."]

    def to_json(self) -> dict[str, Any]:
        """Plain types for JSON; None for NaN."""
        return {
            "target": self.target,
            "verdict": self.verdict,
            "precision": _number(self.classified.estimate.value),
            "precision_interval": list(self.classified.estimate.interval),
            "more": self.more,
            "accuracy": _number(self.accuracy),
            "accuracy_interval": list(self.accuracy_interval),
            "model": self.model or None,
            "other_models": self.other_models,
            "outcomes": {
                name: {
                    "size": one.size,
                    "reviewed": one.reviewed,
                    "elsewhere": one.elsewhere,
                    "unusable": one.unusable,
                    "correct": _number(one.estimate.value),
                    "correct_interval": list(one.estimate.interval),
                }
                for name, one in self.outcomes.items()
            },
        }


_VERDICTS: Mapping[str, str] = {
    "met": "is met: it is not above the interval",
    "missed": "is missed: it is above the interval",
    "undecided": "is neither met nor missed yet",
}


def of_model(results: Iterable[AuditedResult], model: str) -> list[AuditedResult]:
    """The predictions of a model, and those that name none; all of them if `model` is "".

    The target is of one model: predictions of two are not added up.
    """
    return [one for one in results if not model or one.model in ("", model)]


def audit(results: Iterable[AuditedResult], target: float, model: str = "") -> Audit:
    """Estimate precision and accuracy.

    Parameters
    ----------
    results
        All results of the time in question, reviewed or not; each once. Those that failed have no prediction: leave them out.
    target
        The target precision, which the threshold was chosen for, in [0, 1].
    model
        Version of the model that the service runs: predictions of others are counted, and no more. "": all count.

    Examples
    --------
    >>> found = audit([AuditedResult(f"{i:064x}", "2026-11-26", "classified", i % 20 > 0) for i in range(200)], 0.99)
    >>> found.verdict, found.sentences()[1]
    ('missed', '95.0% of 200 classified images are right (95 %: 95.0% to 95.0%), by 200 reviews at random.')
    """
    results = list(results)
    mine = of_model(results, model)
    by_outcome: dict[str, list[AuditedResult]] = {CLASSIFIED: [], LOW_CONFIDENCE: []}
    for result in mine:
        by_outcome[result.outcome].append(result)
    found = assess({name: count(some) for name, some in by_outcome.items()}, target)
    return replace(found, model=model, other_models=len(results) - len(mine))


def assess(counted: Mapping[str, OutcomeStrata], target: float) -> Audit:
    """As `audit`, from the counts of each outcome."""
    outcomes = {name: _estimated(found) for name, found in counted.items()}
    total = sum(one.size for one in outcomes.values())
    parts = [(one.size / total, one.estimate) for one in outcomes.values() if one.size]
    known = bool(parts) and all(one.known for one in outcomes.values() if one.size)
    accuracy, interval = weighted_sum(parts) if known else (math.nan, Interval(0.0, 1.0))
    return Audit(target, outcomes, accuracy, interval)


def next_to_review(results: Iterable[AuditedResult], count: int) -> list[AuditedResult]:
    """The classified results to review next, those of the latest days included: the first unreviewed ones in random order."""
    waiting = (one for one in results if one.outcome == CLASSIFIED and one.correct is None and one.usable)
    return _in_order(waiting)[:count]


def sampled(results: Iterable[AuditedResult]) -> set[str]:
    """Inference ids of the results of both outcomes before the first one in random order that is not reviewed.

    They are a random sample of all predictions, of low confidence or not, as a test of another model needs.
    """
    return {one.inference_id for one in _drawn(_in_order(results))}


def _in_order(results: Iterable[AuditedResult]) -> list[AuditedResult]:
    """In the random order, which is that of the inference ids."""
    return sorted(results, key=lambda one: one.inference_id)


def _drawn(ordered: Sequence[AuditedResult]) -> list[AuditedResult]:
    """Those before the first one that is not reviewed."""
    return list(itertools.takewhile(lambda one: one.correct is not None or not one.usable, ordered))


def count(results: Iterable[AuditedResult]) -> OutcomeStrata:
    """Count the results of one outcome, day by day, up to the first one in random order that is not reviewed."""
    days: dict[str, list[AuditedResult]] = defaultdict(list)
    for result in results:
        days[result.day].append(result)
    elsewhere = unusable = 0
    strata = []
    for _, found in sorted(days.items()):
        ordered = _in_order(found)
        drawn = _drawn(ordered)
        judged = [one for one in drawn if one.usable]
        elsewhere += sum(one.correct is not None for one in ordered[len(drawn) :])
        unusable += len(drawn) - len(judged)
        left = len(ordered) - len(drawn)
        strata.append(Stratum(left + len(judged), len(judged), sum(one.correct is True for one in judged)))
    return OutcomeStrata(strata, elsewhere, unusable)


def _estimated(counted: OutcomeStrata) -> OutcomeAudit:
    return OutcomeAudit(
        size=sum(stratum.size for stratum in counted.strata),
        reviewed=sum(stratum.trials for stratum in counted.strata),
        elsewhere=counted.elsewhere,
        unusable=counted.unusable,
        estimate=stratified(merged(counted.strata)),
    )


def merged(strata: Iterable[Stratum]) -> list[Stratum]:
    """Strata in order, each merged with those after it until it has `FEWEST` trials; what remains joins the last.

    Examples
    --------
    >>> merged([Stratum(100, 20, 19), Stratum(100, 10, 10), Stratum(50, 40, 40), Stratum(9, 0, 0)])
    [Stratum(size=200, trials=30, successes=29), Stratum(size=59, trials=40, successes=40)]
    """
    found: list[Stratum] = []
    open_ = Stratum(0, 0, 0)
    for stratum in strata:
        open_ = _sum(open_, stratum)
        if open_.trials >= FEWEST:
            found.append(open_)
            open_ = Stratum(0, 0, 0)
    if open_.size and found:
        found[-1] = _sum(found[-1], open_)
    elif open_.size:
        found.append(open_)
    return found


def _sum(a: Stratum, b: Stratum) -> Stratum:
    return Stratum(a.size + b.size, a.trials + b.trials, a.successes + b.successes)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
