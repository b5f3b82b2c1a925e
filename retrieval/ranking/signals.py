"""Signals for ranking, other than similarity: functions that return a number in [0, 1] for each
candidate.

They read columns (arrays with one field of all candidates, such as its creation time), and never
the memories' texts. `expansion` and `newest_first` also depend on the scores of the other
candidates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from memtypes.calendar import Window
from memtypes.model.memory import LinkType
from memtypes.model.policy import POLICIES, MemoryType
from memtypes.model.prospective import OPEN
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import TERMS, ColumnLink, Columns
from memtypes.search.vectors import Numbers
from retrieval.query.intent import NEWEST, OVERVIEW_TYPES, Wish
from retrieval.ranking.neighbours import Neighbours
from retrieval.ranking.similarity import idf, occurrences, token_weights
from retrieval.ranking.sorting import text_order, top_positions
from retrieval.ranking.standing import standing, stands_above

SESSION_SHARE = 0.48
"""Weight of the session in the context signal; the neighbouring turns weigh 1 - SESSION_SHARE."""

SESSION_BEST = 3
"""Number of a session's best candidates that are averaged in the context signal; 2 to 4 do about
equally well.
"""

FULL_ACCESS = 100
"""Access count at which the access signal reaches 1."""

LONG_OVERDUE = timedelta(days=7)
"""Time after which an overdue task is no longer shown first in contexts that do not ask for
tasks.
"""

DUE_SOON = timedelta(days=7)
"""Time until a task's due time within which a query for tasks shows it before undated tasks."""

UNTOUCHED = timedelta(weeks=3)
"""Time after which a query for tasks counts a missed deadline instead of listing it: nobody has
done it or spoken of it since.
"""

OVERVIEW_SHARE = 0.75
"""Share of a budget for the newest events or finished tasks, or for the last session, if a query
asks for them; better matches get the rest.
"""

LAST_WORK = timedelta(hours=12)
"""Time before the newest memory in which memories count as one session, if none names one."""

TIME_HALF_DISTANCE = timedelta(days=7)
"""Distance from a named time at which the time signal is 1/2: events are often told a few days
later.
"""

SAME_EVENT = 0.6
"""Minimum similarity, the mean cosine of tokens, of an event's words and a memory that tells of the
event.

Of 10 events from the same conversation 9 reach it, of 10 events from another conversation 2.
"""

SEEDS = 3
"""Number of best hits whose terms expand the query. With one, less is found; with five, the query
drifts.
"""

EXPANSION_TERMS = 15
"""Number of terms that expand the query; 10 to 20 do equally well."""

HALF_LENGTH = 200
"""Tokens of a memory at which its shared terms count half: a long memory shares some terms with any
other.
"""

LINKING_HITS = 5
"""Number of best hits whose links are followed. Links of lower hits mostly lead to other
subjects.
"""

LINK_SHARE = 0.8
"""Score of a linked memory, as a share of the score of the hit that links to it with strength 1."""

CONTESTED_MIN_RATIO = 0.5
"""Minimum score of the newer of two contradicting memories, as a share of the older one's, if both
come from sessions. Conversations say much about the same people, so more pairs are judged to
contradict than do.
"""

_MARGIN = 1e-6
_DAY = int(timedelta(days=1).total_seconds() * 1e6)
_WORKING = TYPES.index(MemoryType.WORKING)
_HALF_LIVES = np.array(
    [life.total_seconds() if (life := POLICIES[kind].half_life) else np.inf for kind in TYPES],
    dtype=np.float64,
)
"""Recency half-life of each memory type in TYPES, in seconds; infinite for types that do not
age.
"""


def context(similarity: NDArray[np.float64], neighbours: Neighbours) -> NDArray[np.float64]:
    """Similarity, in [0, 1], of each candidate's neighbours and session to the query.

    A weighted mean: (1 - SESSION_SHARE) for the neighbours, which is 3/4 the better of the two
    adjacent turns and 1/4 the better of the two turns two places away; and SESSION_SHARE for the
    mean of the session's SESSION_BEST most similar candidates, this one included, where missing
    ones count as 0.
    """
    nearby = (3.0 * neighbours.next_to(similarity) + neighbours.two_away(similarity)) / 4.0
    in_session = neighbours.session_sums(similarity, SESSION_BEST) / SESSION_BEST
    signal: NDArray[np.float64] = (1.0 - SESSION_SHARE) * nearby + SESSION_SHARE * in_session
    return np.minimum(signal, 1.0)


def mention(query: str, candidates: Candidates) -> NDArray[np.float64]:
    """1 for each candidate whose speaker the query names, otherwise 0."""
    return candidates.columns.where(
        "speaker", lambda name: bool(name) and mentions(query, name)
    ).astype(np.float64)


def mentions(query: str, name: str) -> bool:
    """Whether `query` contains `name` as a whole word, ignoring case."""
    return re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", query.casefold()) is not None


def nearness(instants: NDArray[np.datetime64], windows: Sequence[Window]) -> NDArray[np.float64]:
    """Nearness of each instant (UTC) to its nearest window, in [0, 1]: 1 inside, 1/2 at
    TIME_HALF_DISTANCE from it.
    """
    nearest = np.zeros(instants.shape)
    for window in windows:
        start = to_datetime64(window.start)
        end = to_datetime64(window.end)
        outside = (
            np.maximum(start - instants, instants - end).astype("timedelta64[s]").astype(np.float64)
        )
        nearest = np.maximum(
            nearest, np.exp2(-np.maximum(outside, 0.0) / TIME_HALF_DISTANCE.total_seconds())
        )
    return nearest


def event_time(candidates: Candidates) -> datetime | None:
    """UTC time of the candidate most similar to an event such as "the move"; None if none reaches
    SAME_EVENT.
    """
    if candidates.late is None or not candidates.late.size:
        return None
    order = text_order(candidates.ids)
    ordered = candidates.take(order)
    cosines = np.maximum(np.nan_to_num(candidates.late[order]), 0.0).astype(np.float64)
    similarity = cosines @ token_weights(cosines)
    best = int(similarity.argmax())
    if similarity[best] < SAME_EVENT:
        return None
    instant: datetime = reference_times(ordered)[best].astype(datetime)
    return instant.replace(tzinfo=UTC)


def to_datetime64(instant: datetime) -> np.datetime64:
    """The UTC time `instant` as a numpy value, which can be compared with columns of times."""
    return np.datetime64(instant.replace(tzinfo=None), "us")


def recency(candidates: Candidates, as_of: datetime) -> NDArray[np.float64]:
    """Recency of each candidate at `as_of`: 0.5 ** (age / half-life of its type); 1 for types that
    do not age.

    For an open intention with a due time, the time until it is due counts as its age, so that it is
    1 once due.
    """
    ages = (to_datetime64(as_of) - reference_times(candidates)).astype(np.float64) / 1e6
    columns = candidates.columns
    until_due = columns.has_value("due_at") & ~columns.has_value("completed_at")
    return decay(np.where(until_due, -ages, ages), _HALF_LIVES[candidates.kinds])


def decay(seconds: NDArray[np.float64], half_lives: NDArray[np.float64]) -> NDArray[np.float64]:
    """0.5 ** (age / half-life), given ages in seconds. A negative age counts as 0."""
    half_lives_passed: NDArray[np.float64] = np.maximum(seconds, 0.0) / half_lives
    return np.exp2(-half_lives_passed)


def importance(columns: Columns) -> NDArray[np.float64]:
    """Importance in [0, 1]: the rating (1..10, plus |emotional valence|) times the confidence or
    success rate.
    """
    valence = np.abs(columns.integers("emotional_valence", 0))
    values = np.minimum(columns.integers("importance", 5) + valence, 10).astype(np.float64)
    return (
        (values - 1.0)
        / 9.0
        * columns.numbers("confidence", 1.0)
        * columns.numbers("success_rate", 1.0)
    )


def access(columns: Columns) -> NDArray[np.float64]:
    """Uses of each memory, on a logarithmic scale: 0 if it was never used, 1 from FULL_ACCESS times
    on.
    """
    counts = columns.integers("access_count", 0) + columns.integers("usage_count", 0)
    scaled: NDArray[np.float64] = np.log1p(counts) / np.log1p(FULL_ACCESS)
    return np.minimum(scaled, 1.0)


def due(candidates: Candidates, as_of: datetime) -> NDArray[np.float64]:
    """1 for each open intention that is due at `as_of`; 0 for all other candidates."""
    # False where there is no due time
    is_due = candidates.columns.column("due_at") <= to_datetime64(as_of)
    return (is_due & candidates.columns.where("status", OPEN.__contains__)).astype(np.float64)


def due_today(candidates: Candidates, as_of: datetime) -> NDArray[np.bool_]:
    """Mask of the candidates that are open intentions, overdue or due on the day of `as_of` in
    UTC.
    """
    tomorrow = to_datetime64(as_of).astype("datetime64[D]") + 1
    mask: NDArray[np.bool_] = candidates.columns.column("due_at") < tomorrow
    return mask & candidates.columns.where("status", OPEN.__contains__)


def comes_first(candidates: Candidates, as_of: datetime, *, asked: bool) -> NDArray[np.bool_]:
    """Mask of open tasks due by the day of `as_of` (UTC); if tasks are not `asked` for, without the
    LONG_OVERDUE.
    """
    mask = due_today(candidates, as_of)
    return (
        mask
        if asked
        else mask & (candidates.columns.column("due_at") >= to_datetime64(as_of - LONG_OVERDUE))
    )


def due_about_now(candidates: Candidates, as_of: datetime) -> NDArray[np.bool_]:
    """Mask of the candidates that are open tasks, due in the DUE_SOON from `as_of`, or overdue but
    not LONG_OVERDUE.
    """
    due_at = candidates.columns.column("due_at")
    # False where there is no due time
    near = (due_at >= to_datetime64(as_of - LONG_OVERDUE)) & (
        due_at <= to_datetime64(as_of + DUE_SOON)
    )
    mask: NDArray[np.bool_] = near & candidates.columns.where("status", OPEN.__contains__)
    return mask


def missed(candidates: Candidates, as_of: datetime) -> NDArray[np.bool_]:
    """Mask of the open tasks whose due time is over for more than UNTOUCHED, and that nobody wrote
    or repeated since.
    """
    columns = candidates.columns
    touched = np.maximum(columns.column("due_at"), last_stated(columns))
    # False where there is no due time
    mask: NDArray[np.bool_] = touched < to_datetime64(as_of - UNTOUCHED)
    return mask & columns.where("status", OPEN.__contains__)


def by_urgency(
    candidates: Candidates, as_of: datetime, *, finished_first: bool = False
) -> NDArray[np.intp]:
    """Positions of tasks, the most urgent first. finished_first: for a query for finished tasks.

    What is due from today on, within DUE_SOON, comes first, by due time; then what became overdue
    in the last LONG_OVERDUE, the latest first; then undated tasks and those due later, the nearest
    in time first; then what is overdue for longer, the latest first; then what is said to be done,
    which is not sure; last finished tasks, by when they were completed. Of those due on one day,
    and of undated ones and those due later, the higher priority comes first.
    """
    columns = candidates.columns
    due_at = columns.column("due_at")
    today = to_datetime64(as_of).astype("datetime64[D]")
    is_dated = columns.has_value("due_at")
    is_overdue = is_dated & (due_at < today)
    is_recent = is_overdue & (due_at >= to_datetime64(as_of - LONG_OVERDUE))
    is_soon = is_dated & ~is_overdue & (due_at <= to_datetime64(as_of + DUE_SOON))
    is_finished = columns.has_value("completed_at")
    may_have_ended = columns.has_value("said.at")
    groups = np.select(
        [is_finished, may_have_ended, is_soon, is_recent, ~is_overdue],
        [-1 if finished_first else 5, 4, 0, 1, 2],
        3,
    )
    times = (reference_times(candidates) - today).astype(np.int64)
    distances = np.where(is_finished, times, np.abs(times))
    days = np.where(groups == 2, 0, distances // _DAY)
    days = np.where(is_finished, distances, days)  # their priority is over
    return np.lexsort((distances, -columns.integers("priority", 3), days, groups))


def first_due(
    candidates: Candidates, mask: NDArray[np.bool_], as_of: datetime, room: int
) -> NDArray[np.intp]:
    """Positions of the candidates in `mask`, by urgency, until `room` tokens are used up."""
    positions = by_urgency(candidates, as_of)
    return _within(candidates, positions[mask[positions]], room)


def newest(candidates: Candidates, mask: NDArray[np.bool_], budget: int) -> NDArray[np.intp]:
    """Positions of the candidates in `mask`, newest first, until OVERVIEW_SHARE of `budget` tokens
    are used up.
    """
    times = -reference_times(candidates).astype(np.int64)
    positions = np.lexsort((-candidates.columns.integers("priority", 3), times))
    return _within(candidates, positions[mask[positions]], int(OVERVIEW_SHARE * budget))


def _within(candidates: Candidates, positions: NDArray[np.intp], room: int) -> NDArray[np.intp]:
    """The first of `positions`, until `room` tokens are used up."""
    tokens = candidates.columns.integers("tokens.line", 0)[positions]
    return positions[np.cumsum(tokens) - tokens < room]


def last_session(candidates: Candidates, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of the candidates in `among` that are of the last session, or were written since it
    began.

    It is the session of the newest of them that has one. Without any, it is what was written in the
    LAST_WORK before the newest.
    """
    if not among.any():
        return among
    times = candidates.columns.column("created_at")
    sessions = candidates.columns.column("session_id")
    in_session = np.flatnonzero(among & candidates.columns.has_value("session_id"))
    if len(in_session):
        last = in_session[times[in_session].argmax()]
        began = times[in_session[sessions[in_session] == sessions[last]]].min()
    else:
        began = times[among].max() - np.timedelta64(LAST_WORK)
    mask: NDArray[np.bool_] = among & (times >= began)
    return mask


def to_continue(
    candidates: Candidates, in_time: NDArray[np.bool_], as_of: datetime, budget: int
) -> NDArray[np.intp]:
    """Positions of what a session goes on with: the last session's memories, newest first, in
    OVERVIEW_SHARE of `budget`, then the most urgent tasks, in the rest.

    in_time: mask of the candidates of the times that the query names; all if it names none.
    """
    columns = candidates.columns
    is_open = columns.where("status", OPEN.__contains__)
    of_session = last_session(candidates, in_time & (candidates.kinds != _WORKING))
    newest_first = np.lexsort((-columns.integers("seq", 0), -last_stated(columns).astype(np.int64)))
    session = _within(
        candidates, newest_first[of_session[newest_first]], int(OVERVIEW_SHARE * budget)
    )
    rest = is_open & ~missed(candidates, as_of)
    rest[session] = False
    tasks = first_due(candidates, rest, as_of, int((1.0 - OVERVIEW_SHARE) * budget))
    return np.concatenate([session, tasks])


def overview(candidates: Candidates, wish: Wish, in_time: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of the candidates that `wish` asks to list: all of a type; of events and finished tasks
    those `in_time`.
    """
    kind = OVERVIEW_TYPES.get(wish)
    mask: NDArray[np.bool_] = candidates.kinds == (TYPES.index(kind) if kind else -1)
    if wish in NEWEST:
        mask &= in_time
    return mask & candidates.columns.has_value("completed_at") if wish is Wish.FINISHED else mask


def reference_times(candidates: Candidates) -> NDArray[np.datetime64]:
    """UTC times from which ages count: a task's completion or due time, a procedure's last use,
    else the creation.
    """
    times: NDArray[np.datetime64] = candidates.columns.column("created_at")
    for path in ("due_at", "completed_at", "last_used_at"):
        times = np.where(candidates.columns.has_value(path), candidates.columns.column(path), times)
    return times


def expansion(
    candidates: Candidates, scores: NDArray[np.float64], query_terms: Numbers
) -> NDArray[np.float64]:
    """Weight of the terms that each candidate shares with the best hits, scaled so that the highest
    value is 1.

    Pseudo-relevance feedback after RM3 (Abdul-Jaleel et al., "UMass at TREC 2004"), with document
    frequencies taken from the candidates. The weight of a term is the sum of the squared scores of
    the hits that contain it, times its IDF. Terms of the query are left out, because similarity has
    counted them.
    """
    terms: Numbers = candidates.columns.column(TERMS)
    length_norm = 1.0 / (1.0 + candidates.columns.integers("tokens.count", 0) / HALF_LENGTH)
    seeds = top_positions(scores, SEEDS)
    relevance = np.maximum(scores[seeds], 0.0) ** 2 * length_norm[seeds]
    seed_terms, inverse = np.unique(terms[seeds], return_inverse=True)
    summed = np.bincount(
        inverse.ravel(), np.repeat(relevance, terms.shape[1]), minlength=len(seed_terms)
    )
    summed[(seed_terms == 0) | (seed_terms[:, None] == query_terms).any(axis=1)] = 0.0
    rows, shared_terms = occurrences(terms, seed_terms)
    rarity = idf(np.bincount(shared_terms, minlength=len(seed_terms)), len(candidates))
    best = np.argsort(-summed * rarity, kind="stable")[:EXPANSION_TERMS]
    weights = np.zeros(len(seed_terms))
    weights[best] = (summed * rarity**2)[best]
    shared: NDArray[np.float64] = np.bincount(rows, weights[shared_terms], len(terms)) * length_norm
    highest = float(shared.max(initial=0.0))
    return shared / highest if highest > 0 else shared


def reading(candidates: Candidates, readings: Mapping[str, float]) -> NDArray[np.float64]:
    """Probability that each candidate answers the query, from `readings` by id; 0 for those that
    were not read.
    """
    ids = candidates.ids.astype(np.str_).tolist()
    return np.array([readings.get(memory_id, 0.0) for memory_id in ids])


def last_stated(columns: Columns) -> NDArray[np.datetime64]:
    """Times at which the memories were last stated: of a fact's last repetition, else of its
    creation.
    """
    return np.where(
        columns.has_value("restated_at"),
        columns.column("restated_at"),
        columns.column("created_at"),
    )


def newest_first(
    candidates: Candidates, scores: NDArray[np.float64], contested: Sequence[tuple[str, str]]
) -> NDArray[np.float64]:
    """`scores`, raised so that the newer of two contradicting candidates ranks first, unless it is
    clearly less sure, shape (candidates,).

    contested: pairs of ids of contradicting memories. Several memories that contradict the same
    older one are ranked newest first. A pair has no effect if one of the two is not a candidate, or
    if both come from sessions and the newer one has less than CONTESTED_MIN_RATIO of the older
    one's score.
    """
    if not contested:
        return scores
    positions = {
        memory_id: position
        for position, memory_id in enumerate(candidates.ids.astype(np.str_).tolist())
    }
    columns = candidates.columns
    in_session = candidates.columns.has_value("session_id")
    values = standing(candidates)
    # Of facts stated at the same time, such as in one batch, the last to arrive is the newest.
    sort_keys = (columns.column("seq"), columns.has_value("restated_at"), last_stated(columns))
    order = np.argsort(np.lexsort(sort_keys)).tolist()
    newer_than: defaultdict[int, list[int]] = defaultdict(list)
    for pair in contested:
        if all(memory_id in positions for memory_id in pair):
            older, newer = sorted(
                (positions[memory_id] for memory_id in pair), key=order.__getitem__
            )
            if stands_above(candidates, older, newer, values):
                older, newer = newer, older
            both_in_sessions = in_session[older] and in_session[newer]
            if not both_in_sessions or scores[newer] >= CONTESTED_MIN_RATIO * scores[older]:
                newer_than[older].append(newer)
    raised = scores.copy()
    for older in sorted(newer_than, key=order.__getitem__):
        level = raised[older]
        for newer in sorted(newer_than[older], key=order.__getitem__):
            level = raised[newer] = max(raised[newer], level + _MARGIN)
    return raised


def links_of_best(
    candidates: Candidates, scores: NDArray[np.float64]
) -> dict[str, list[ColumnLink]]:
    """The links of the LINKING_HITS best candidates that have any, by the linking memory's id."""
    best = top_positions(scores, LINKING_HITS)
    ids = candidates.ids[best].astype(np.str_).tolist()
    links = zip(ids, candidates.columns.take(best).links(), strict=True)
    return {memory_id: of_memory for memory_id, of_memory in links if of_memory}


def linked_minimums(
    candidates: Candidates,
    scores: NDArray[np.float64],
    links: Mapping[str, Sequence[ColumnLink]],
) -> NDArray[np.float64]:
    """Minimum score of each candidate that another one links to, else -inf, shape (candidates,).

    It is LINK_SHARE times the strength of the link times the linking memory's score. links: by the
    linking memory's id. Links to contradicted memories are left out, because `newest_first` ranks
    such pairs.
    """
    ids = candidates.ids.astype(np.str_).tolist()
    positions = {memory_id: position for position, memory_id in enumerate(ids)}
    minimums = np.full(len(candidates), -np.inf)
    for memory_id, of_memory in links.items():
        for link in of_memory:
            target = positions.get(link.to)
            if target is not None and link.type != LinkType.CONTRADICTS:
                minimum = LINK_SHARE * link.strength * scores[positions[memory_id]]
                minimums[target] = max(minimums[target], minimum)
    return minimums


def contested_pairs(links: Mapping[str, Sequence[ColumnLink]]) -> tuple[tuple[str, str], ...]:
    """A pair of ids for each contradiction among the `links`: the memory, and the memory that it
    contradicts.
    """
    return tuple(
        (memory_id, link.to)
        for memory_id, of_memory in links.items()
        for link in of_memory
        if link.type == LinkType.CONTRADICTS
    )
