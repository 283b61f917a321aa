"""Recording: whatever is duplicated, overtaken, killed or raced, exactly the newest upload's result is left."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropsort.contract import keys
from handlers.recording import CONDITION_FAILED, MAX_ROUNDS, Contended, Delete, Entry, Head, Put, record
from tests.unit.handlers.interleavings import PLACES, Recorder, Store, ends, step

OUTCOMES = keys.OUTCOMES


def entry(
    upload: int,
    outcome: str,
    recorded: str = "2026-01-01T12:00:00.000Z",
    *,
    by_hand: bool = False,
    versions: bool = True,
    second: int | None = None,
    in_parts: bool = False,
) -> Entry:
    """The entry of a result of the first, second … upload of the key, a second apart."""
    return Entry(
        sequencer=None if by_hand else f"617f0829932{upload:05x}",
        version_id=f"version-{upload}" if versions else None,
        etag=f"{upload:032x}-2" if in_parts else f"etag-{upload}",
        uploaded=f"2026-01-01T00:00:{upload if second is None else second:02d}Z",
        recorded=recorded,
        outcome=outcome,
    )


def lying(*entries: Entry) -> Store:
    """A store in which these results lie already."""
    return tuple(sorted((PLACES[e.outcome], f"before-{n}", e) for n, e in enumerate(entries)))


def only_result_is_of(upload: int, entries: list[Entry], start: Store = (), kills: int = 0) -> None:
    """Hold every end of every interleaving against the guarantee."""
    count = 0
    for store, stands in ends(entries, start, kills):
        count += 1
        assert [e.etag for _, _, e in store] == [f"etag-{upload}"], (entries, store)
        key, _, left = store[0]
        assert key == PLACES[left.outcome]
        # Of the runs of the newest upload at least one got the response that its result stands, unless that lay there before.
        assert (
            any(told for told, e in zip(stands, entries, strict=True) if e.etag == f"etag-{upload}") or start
        )
    assert count


@pytest.mark.parametrize(("first", "second"), list(itertools.product(OUTCOMES, OUTCOMES)))
def test_two_uploads_end_with_the_newest_even_if_each_is_killed_twice(first: str, second: str) -> None:
    only_result_is_of(2, [entry(1, first), entry(2, second)], kills=2)


@pytest.mark.parametrize("outcomes", list(itertools.product(OUTCOMES, repeat=3)))
def test_a_duplicated_event_changes_nothing(outcomes: tuple[str, str, str]) -> None:
    for times in ((1, 2, 3), (3, 2, 1), (2, 3, 1), (2, 2, 2)):
        recorded = [f"2026-01-01T12:00:00.00{time}Z" for time in times]
        old, new, again = outcomes
        only_result_is_of(
            2, [entry(1, old, recorded[0]), entry(2, new, recorded[1]), entry(2, again, recorded[2])]
        )
        only_result_is_of(
            2, [entry(1, old, recorded[0]), entry(1, again, recorded[1]), entry(2, new, recorded[2])]
        )


@pytest.mark.parametrize(("first", "second", "before"), list(itertools.product(OUTCOMES, repeat=3)))
def test_what_lay_there_before_is_replaced_wherever_it_was(first: str, second: str, before: str) -> None:
    # GIVEN an earlier result, two uploads of which each may be killed once
    only_result_is_of(3, [entry(2, first), entry(3, second)], lying(entry(1, before)), kills=1)


@pytest.mark.parametrize(("late", "newest"), list(itertools.product(OUTCOMES, OUTCOMES)))
def test_a_late_older_event_leaves_the_newest_alone(late: str, newest: str) -> None:
    store, stands = next(iter(ends([entry(1, late)], lying(entry(2, newest)))))
    assert [e for _, _, e in store] == [entry(2, newest)]
    assert stands == (False,)


def test_three_uploads_of_all_outcomes_end_with_the_newest() -> None:
    for order in itertools.permutations(OUTCOMES):
        only_result_is_of(3, [entry(n, outcome) for n, outcome in enumerate(order, 1)], kills=0)


@pytest.mark.parametrize("versions", [True, False], ids=["versions", "no-versions"])
@pytest.mark.parametrize("second", [None, 0], ids=["a-second-apart", "in-one-second"])
@pytest.mark.parametrize("upload", [1, 2])
def test_a_manual_run_in_addition_to_two_events(upload: int, second: int | None, versions: bool) -> None:
    # GIVEN two events and a manual start of the first or the second upload, which has no sequencer
    for outcomes in (
        ("classified", "low-confidence", "failed"),
        ("classified", "failed", "classified"),
        ("failed", "classified", "low-confidence"),
        ("low-confidence", "low-confidence", "low-confidence"),
    ):
        for by_hand_at in ("2026-01-01T11", "2026-01-01T13"):
            one, two = (
                entry(n, outcomes[n - 1], f"2026-01-01T12:00:0{n}", second=second, versions=versions)
                for n in (1, 2)
            )
            hand = entry(upload, outcomes[2], by_hand_at, by_hand=True, second=second, versions=versions)
            only_result_is_of(2, [one, two, hand])


def forged(made: Entry, sequencer: str | None = "f" * 64) -> Entry:
    """The entry of an execution that somebody started with an event of their own making."""
    return replace(made, sequencer=sequencer)


def ends_with(newest: Entry, entries: list[Entry], start: Store = (), kills: int = 0) -> None:
    """Hold every end of every interleaving against the guarantee: the result is of the newest upload's version."""
    count = 0
    for store, _ in ends(entries, start, kills):
        count += 1
        assert [e.version_id or e.etag for _, _, e in store] == [newest.version_id or newest.etag], store
    assert count


SEQUENCERS = ["f" * 64, "617f0829932ffffff", "0", None]
LATE = "2026-01-02T00:00:00Z"


@pytest.mark.parametrize("sequencer", SEQUENCERS[:2])
@pytest.mark.parametrize("versions", [True, False], ids=["versions", "no-versions"])
@pytest.mark.parametrize(
    "outcomes",
    [
        ("classified", "low-confidence", "failed"),
        ("failed", "classified", "classified"),
        ("low-confidence", "failed", "low-confidence"),
        ("classified", "classified", "classified"),
    ],
)
def test_a_made_up_sequencer_beats_no_later_upload(
    outcomes: tuple[str, str, str], sequencer: str | None, versions: bool
) -> None:
    # GIVEN two uploads, and an execution that somebody started for the first with a sequencer of their own
    one, two = (entry(n, outcomes[n - 1], versions=versions) for n in (1, 2))
    made_up = forged(entry(1, outcomes[2], "2026-01-01T13:00:00Z", versions=versions), sequencer)
    # THEN the second stands, whatever the order, and whether the other had its result before
    ends_with(two, [one, two, made_up])
    ends_with(two, [two], lying(made_up), kills=1)
    ends_with(two, [made_up], lying(two), kills=1)


@pytest.mark.parametrize("sequencer", SEQUENCERS)
def test_a_made_up_sequencer_of_the_newest_upload_does_not_outlive_it(sequencer: str | None) -> None:
    # GIVEN the newest upload, recorded once more with a sequencer of somebody's own
    one, two = entry(1, "classified"), entry(2, "low-confidence")
    made_up = forged(entry(2, "failed", "2026-01-01T13:00:00Z"), sequencer)
    ends_with(two, [one, two, made_up])
    # THEN the next upload takes its place all the same
    ends_with(entry(3, "classified"), [entry(3, "classified"), two], lying(made_up))


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("missing", [True, False])
def test_what_was_made_up_of_an_upload_in_parts_or_of_none_gives_way_to_the_next(
    outcome: str, missing: bool
) -> None:
    # GIVEN a result with a made-up sequencer whose upload took a while, or never was
    made_up = forged(entry(1, "failed", "2026-01-01T12:00:00Z", in_parts=True))
    made_up = replace(made_up, uploaded=None) if missing else made_up
    # WHEN an upload begins after it was recorded
    later = replace(entry(2, outcome, LATE), uploaded="2026-01-01T12:01:01Z")
    # THEN its result stands
    ends_with(later, [later], lying(made_up), kills=1)


def test_what_was_made_up_of_no_upload_gives_way_to_a_run_by_hand_of_the_object_that_is_there() -> None:
    made_up = replace(forged(entry(2, "failed")), uploaded=None)
    there = entry(1, "classified", LATE, by_hand=True)
    ends_with(there, [there], lying(made_up), kills=1)


@pytest.mark.parametrize("outcomes", list(itertools.product(OUTCOMES, repeat=2)))
def test_an_upload_in_parts_counts_from_its_end(outcomes: tuple[str, str]) -> None:
    # GIVEN an upload in parts that began first, so that S3 names the earlier time, and ended last
    parts = replace(entry(2, outcomes[0], in_parts=True), uploaded="2026-01-01T00:00:00Z")
    whole = replace(entry(1, outcomes[1]), uploaded="2026-01-01T00:00:30Z")
    # THEN it is the newest
    ends_with(parts, [whole, parts], kills=2)


def test_a_run_by_hand_takes_the_place_of_its_own_uploads_failure() -> None:
    # GIVEN an upload that failed for a passing reason, WHEN it is run again by hand
    (end,) = ends(
        [entry(2, "classified", "2026-01-02", by_hand=True)], lying(entry(2, "failed", "2026-01-01"))
    )
    # THEN the prediction stands and knows the sequencer, so that a late older event still loses
    (((_, _, left),), stands) = end
    assert (left.outcome, left.sequencer, stands) == ("classified", entry(2, "failed").sequencer, (True,))


def test_a_prediction_is_not_replaced_by_a_later_failure_of_the_same_upload() -> None:
    for store, _ in ends(
        [entry(1, "failed", "2026-01-02")], lying(entry(1, "low-confidence", "2026-01-01")), kills=2
    ):
        assert [e.outcome for _, _, e in store] == ["low-confidence"]


@pytest.mark.parametrize(("outcome", "foreign"), list(itertools.product(OUTCOMES, OUTCOMES)))
@pytest.mark.parametrize("by_hand", [True, False])
def test_what_somebody_else_put_there_is_replaced(outcome: str, foreign: str, by_hand: bool) -> None:
    nobody = Entry(None, None, None, None, recorded="", outcome=foreign)
    only_result_is_of(1, [entry(1, outcome, by_hand=by_hand)], lying(nobody))


@pytest.mark.parametrize(("outcome", "foreign"), list(itertools.product(OUTCOMES, OUTCOMES)))
def test_a_result_that_was_copied_from_elsewhere_is_replaced(outcome: str, foreign: str) -> None:
    mine = replace(entry(1, outcome), key_digest="of this key")
    # GIVEN a result of a newer upload of another key, or the same one from another outcome
    copies = [replace(entry(2, foreign), key_digest="of another key")]
    copies += [replace(mine, outcome=other, recorded="2027") for other in OUTCOMES if other != foreign]
    for copied in copies:
        start: Store = ((PLACES[foreign], "before", copied),)
        for store, stands in ends([mine], start, kills=1):
            assert store == ((PLACES[outcome], store[0][1], store[0][2]),)
            assert (store[0][2].etag, store[0][2].key_digest, stands) == ("etag-1", "of this key", (True,))


def events_of(*seconds: int | None) -> st.SearchStrategy[Entry]:
    """Results of events; of an object that could not be read, S3's time is not known."""
    results = st.builds(
        entry,
        st.integers(1, 3),
        st.sampled_from(OUTCOMES),
        st.sampled_from(["2026-01-01T12:00:00.001Z", "2026-01-01T12:00:00.002Z"]),
        second=st.sampled_from(seconds),
    )
    return results | results.map(lambda result: replace(result, uploaded=None))


def runs_and_before(least: int, most: int) -> st.SearchStrategy[tuple[list[Entry], Entry | None]]:
    """Results whose uploads came a second apart, or all in one second, and what was there before."""
    return st.sampled_from([None, 0]).flatmap(
        lambda second: st.tuples(
            st.lists(events_of(second), min_size=least, max_size=most), st.none() | events_of(second)
        )
    )


events = events_of(None, 0)


@settings(max_examples=25)
@given(runs_and_before(3, 3))
def test_three_recorders_and_whatever_lay_there(drawn: tuple[list[Entry], Entry | None]) -> None:
    runs, before = drawn
    newest = max(int(e.etag[-1]) for e in [*runs, *([before] if before else [])] if e.etag)
    only_result_is_of(newest, runs, lying(before) if before else ())


@settings(max_examples=25)
@given(runs_and_before(4, 5), st.randoms(use_true_random=False))
def test_many_recorders_in_random_order(drawn: tuple[list[Entry], Entry | None], random: Random) -> None:
    """Five at once are too many for all interleavings: one at random."""
    runs, _ = drawn
    store: Store = ()
    at_work = [Recorder(e, n) for n, e in enumerate(runs)]
    while running := [n for n, recorder in enumerate(at_work) if not isinstance(recorder.next(), bool)]:
        index = random.choice(running)
        store, moved = step(store, at_work[index])
        killed = moved.attempt < 2 and random.random() < 0.1
        at_work[index] = moved.again() if killed else moved
    assert [e.etag for _, _, e in store] == [max(e.etag for e in runs if e.etag)]


sequencers = st.text("0123456789abcdefABCDEF", min_size=1, max_size=20)


@given(sequencers, sequencers)
def test_sequencers_order_as_hexadecimal_numbers(left: str, right: str) -> None:
    a, b = (Entry(s, None, None, None, "", "failed") for s in (left, right))
    assert a.beats(b) == (int(left, 16) > int(right, 16))


@given(st.lists(events, min_size=2, max_size=2))
def test_of_two_results_at_most_one_beats_the_other(pair: list[Entry]) -> None:
    a, b = pair
    assert not (a.beats(b) and b.beats(a))
    assert not a.beats(a)


def test_metadata_gives_the_entry_again() -> None:
    for mine in (entry(1, "failed"), entry(2, "classified", by_hand=True, versions=False)):
        metadata = mine.to_metadata()
        assert Entry.from_metadata(metadata, mine.outcome) == mine
        assert all(isinstance(value, str) and value.isascii() for value in metadata.values())


def _lose_every_race(mine: Entry, answers: Iterable[object]) -> None:
    steps = record(mine, PLACES)
    next(steps)
    for answer in answers:
        steps.send(answer)  # type: ignore[arg-type]


def test_endless_lost_races_for_its_own_place_end_in_contended() -> None:
    older = ("etag", entry(1, "classified").to_metadata())
    with pytest.raises(Contended, match=r"classified/cam1/a\.jpg\.json"):
        _lose_every_race(
            entry(2, "classified"), itertools.islice(itertools.cycle([CONDITION_FAILED, older]), 100)
        )


def test_endless_lost_races_for_another_place_end_in_contended() -> None:
    older = ("etag", entry(1, "failed").to_metadata())
    answers = itertools.chain(['"mine"', None], itertools.cycle([older, CONDITION_FAILED]))
    with pytest.raises(Contended, match="failed/"):
        _lose_every_race(entry(2, "classified"), itertools.islice(answers, 100))


def test_the_calls_of_the_usual_case() -> None:
    # GIVEN nothing of the key yet, THEN one conditional put and two HEAD requests are all
    steps = record(entry(1, "classified"), PLACES)
    assert next(steps) == Put(PLACES["classified"], None, entry(1, "classified"))
    look = steps.send('"e"')
    assert look == Head(PLACES["low-confidence"])
    assert look.also == PLACES["failed"], "the second look need not wait for the first"
    assert steps.send(None) == Head(PLACES["failed"])
    with pytest.raises(StopIteration) as stop:
        steps.send(None)
    assert stop.value.value is True


def test_a_beaten_result_takes_itself_away_and_only_itself() -> None:
    steps = record(entry(1, "classified"), PLACES)
    next(steps)
    steps.send('"mine"')
    newer = ('"newer"', entry(2, "low-confidence").to_metadata())
    assert steps.send(newer) == Head(PLACES["failed"])
    assert steps.send(None) == Delete(PLACES["classified"], if_match='"mine"')
    assert MAX_ROUNDS >= 10


def test_what_somebody_put_there_has_no_recording() -> None:
    assert Entry.from_metadata({}, "failed") == Entry(None, None, None, None, "", "failed")


def test_a_result_without_its_outcome_is_one_of_where_it_lies() -> None:
    mine = entry(1, "classified")
    assert mine.found({"sequencer": "1f", "recorded": "2026"}, "failed").sequencer == "1f"
    assert (
        mine.found({"sequencer": "1f", "recorded": "2026", "outcome": "classified"}, "failed").sequencer
        is None
    )


def test_of_two_uploads_in_parts_the_later_one_is_the_newer() -> None:
    # GIVEN uploads without versions and sequencers, neither recorded before the other began
    older, newer = (entry(n, "classified", by_hand=True, versions=False, in_parts=True) for n in (1, 2))
    assert newer.beats(older)
    assert not older.beats(newer)


@pytest.mark.parametrize(("seconds", "newer"), [(59, False), (60, False), (61, True)])
def test_an_upload_that_began_after_a_recording_and_the_difference_of_clocks_is_newer(
    seconds: int, newer: bool
) -> None:
    # GIVEN an upload in parts, the recording of its result, and a later upload with a smaller sequencer
    parts = f'"{"a" * 32}-2"'
    begun = f"2026-11-26T10:{seconds // 60:02}:{seconds % 60:02}Z"
    earlier = Entry("2", None, parts, "2026-11-26T09:00:00Z", "2026-11-26T10:00:00Z", "classified")
    later = Entry("1", None, parts, begun, "2026-11-26T10:02:00Z", "classified")
    assert later.beats(earlier) is newer
    assert earlier.beats(later) is not newer


def test_results_of_which_one_knows_no_version_are_of_one_upload_by_its_etag() -> None:
    parts = f'"{"a" * 32}-2"'
    failed = Entry(None, "v1", parts, "2026-11-26T10:00:00Z", "2026-11-26T10:00:30Z", "failed")
    predicted = Entry(None, None, parts, "2026-11-26T09:59:00Z", "2026-11-26T10:00:20Z", "classified")
    assert predicted.beats(failed)
    assert not failed.beats(predicted)
    # AND with another ETag the later one is the newer
    other = replace(failed, etag=f'"{"b" * 32}-2"')
    assert other.beats(predicted)


def test_the_later_of_two_reviews_stays_whatever_was_recorded_later() -> None:
    first = Entry("1", "v1", "e", None, "2026-11-26T10:00:09Z", "classified", review="9")
    second = replace(first, recorded="2026-11-26T10:00:01Z", review="10")
    assert second.beats(first)
    assert not first.beats(second)
    # AND what is not a number is not a review
    assert first.beats(replace(second, review="ten"))
