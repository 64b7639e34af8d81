"""How far a study is, and when it will be done: by playing what is left through, at the speeds measured so far."""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adversarium.study.jobs import JobState

CREDIBLE_SHARE = 0.05
"""Of all work: when so much was measured, the time that is left is told."""

_OWN_SHARE = 0.1  # of a job: when so much of it was seen, it has a speed


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How a study stands.

    Attributes:
        done: how many jobs are done.
        running: how far those are that somebody works on, from 0 to 1, by key.
        waiting: how many have not begun.
        starting: how many processes were started here of which none has claimed a job yet; 0 once one has.
        failed: how many of those that are done say why they failed.
        share: of the work, by the jobs' costs, that is done, from 0 to 1.
        elapsed_seconds: since whoever tells this began.
        eta_seconds: until all is done; ``None`` as long as too little was seen to tell.
    """

    done: int
    running: Mapping[str, float]
    waiting: int
    failed: int
    share: float
    elapsed_seconds: float
    eta_seconds: float | None
    starting: int = 0

    @property
    def jobs(self) -> int:
        """How many there are."""
        return self.done + len(self.running) + self.waiting


def progress_of(
    states: Sequence[JobState], *, workers: int, failed: int, elapsed_seconds: float, starting: int = 0
) -> Progress:
    """Return how a study stands.

    Args:
        states: of all its jobs.
        workers: how many processes work on it.
        failed: how many of its jobs failed.
        elapsed_seconds: since its beginning.
        starting: how many processes were started of which none has claimed a job yet.
    """
    cost = sum(state.job.cost for state in states)
    return Progress(
        done=sum(state.state == "done" for state in states),
        running={state.job.key: state.progress for state in states if state.state == "running"},
        waiting=sum(state.state == "waiting" for state in states),
        failed=failed,
        share=sum(state.job.cost * state.progress for state in states) / cost if cost else 1.0,
        elapsed_seconds=elapsed_seconds,
        eta_seconds=seconds_left(states, workers),
        starting=starting,
    )


def seconds_left(states: Sequence[JobState], workers: int) -> float | None:
    """Return how long a study still takes; ``None`` where too little was seen to tell.

    What is left is played through as the workers do it, in their order, each job as long as its cost says at the
    speed of its group (at that of all jobs, where nothing of its group was seen). So neither the longest job nor a
    group that others wait for is forgotten.

    Args:
        states: of all jobs.
        workers: how many processes work on them.
    """
    seen, spent = defaultdict[str, float](float), defaultdict[str, float](float)
    for state in states:
        if state.state != "waiting" and state.progress - state.before >= _OWN_SHARE:
            seen[state.job.group] += state.job.cost * (state.progress - state.before)
            spent[state.job.group] += state.seconds / state.together
    if all(state.state == "done" for state in states):
        return 0.0
    if sum(seen.values()) < CREDIBLE_SHARE * sum(state.job.cost for state in states):
        return None
    overall = sum(spent.values()) / sum(seen.values())
    speeds = {group: spent[group] / seen[group] for group in seen}

    return makespan(states, workers, lambda state: speeds.get(state.job.group, overall) * state.job.cost)


def makespan(states: Sequence[JobState], workers: int, lasts: Callable[[JobState], float]) -> float:
    """Return in how many seconds the last job is done, where workers claim what waits in its order.

    Args:
        states: of all jobs.
        workers: how many processes work on them.
        lasts: how long a job takes from its beginning to its end.
    """
    running: dict[str, list[JobState]] = defaultdict(list)
    waiting: dict[str, deque[tuple[int, JobState]]] = defaultdict(deque)
    unfinished: dict[str, int] = defaultdict(int)
    for position, state in enumerate(states):
        unfinished[state.job.group] += state.state != "done"
        if state.state == "running":
            running[state.worker].append(state)
        elif state.state == "waiting":
            waiting[state.job.group].append((position, state))

    ends = [(_ends(lot, sum(map(lasts, lot))), index, lot) for index, lot in enumerate(running.values())]
    ends += [(0.0, index, []) for index in range(len(ends), max(workers, 1))]
    heapq.heapify(ends)
    idle: list[int] = []
    now = 0.0
    while ends:
        now, index, lot = heapq.heappop(ends)
        for state in lot:
            unfinished[state.job.group] -= 1
        idle.append(index)
        while idle and (lot := _next(waiting, unfinished)):
            left = sum(lasts(state) * (1 - state.progress) for state in lot)
            heapq.heappush(ends, (now + left, idle.pop(), lot))
    return now


def _next(waiting: Mapping[str, deque[tuple[int, JobState]]], unfinished: Mapping[str, int]) -> list[JobState]:
    """Take from what waits the jobs that a worker would claim."""
    heads = [jobs[0] for jobs in waiting.values() if jobs and not unfinished.get(jobs[0][1].job.after)]
    if not heads:
        return []
    job = min(heads, key=lambda head: head[0])[1].job
    jobs = waiting[job.group]
    return [jobs.popleft()[1] for _ in range(min(job.together, len(jobs)))]


def _ends(lot: Sequence[JobState], whole: float) -> float:
    """Return when a worker has done what it holds, which takes it so long as a whole by the speed of its group."""
    left = []
    for state in lot:
        moved = state.progress - state.before
        if moved >= _OWN_SHARE:
            left.append(state.seconds * (1 - state.progress) / moved)
        else:  # it may not say how far it is; the end is near, then, but never there
            rest = whole * (1 - state.before)
            left.append(max(rest - state.seconds, _OWN_SHARE * rest))
    return max(left)
