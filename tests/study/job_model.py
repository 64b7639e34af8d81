"""What a study's jobs are, in a model that can be read at a glance, and a random history that follows it."""

import random
from collections.abc import Callable
from typing import Any

from adversarium.study.jobs import Claim, Job, Jobs


class Model:
    """Jobs as a list; a claim is a number that nobody else has."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.state = dict.fromkeys([job.key for job in jobs], "waiting")
        self.holder: dict[str, tuple[str, int]] = {}
        self.attempt = dict.fromkeys(self.state, 0)
        self.deaths = dict.fromkeys(self.state, 0)  # without getting further
        self.progress, self.furthest = dict.fromkeys(self.state, 0.0), dict.fromkeys(self.state, 0.0)
        self.silent: set[str] = set()  # jobs whose worker was not heard of
        self.result: dict[str, Any] = {}
        self.tokens = 0

    def claim(self, worker: str, most: int) -> list[tuple[str, int]]:
        open_groups = {job.group for job in self.jobs if self.state[job.key] != "done"}
        free = [
            job
            for job in self.jobs
            if job.after not in open_groups
            and (self.state[job.key] == "waiting" or (self.state[job.key] == "running" and job.key in self.silent))
        ]
        deaths = {
            key: self.deaths[key] if state != "running" else 0 if further else self.deaths[key] + 1
            for key, state in self.state.items()
            for further in [self.progress[key] > self.furthest[key]]
        }
        lot: list[Job] = []
        for job in [job for job in free if job.group == free[0].group]:
            room = min(1 if deaths[each.key] >= 2 else each.together for each in [*lot, job])
            if lot and len(lot) >= min(most, room):
                break
            lot.append(job)
        for job in lot:
            self.tokens += 1
            self.deaths[job.key] = deaths[job.key]
            self.furthest[job.key] = max(self.furthest[job.key], self.progress[job.key])
            self.state[job.key], self.holder[job.key] = "running", (worker, self.tokens)
            self.attempt[job.key] += 1
            self.silent.discard(job.key)
        return [(job.key, self.holder[job.key][1]) for job in lot]

    def holds(self, key: str, token: int) -> bool:
        return self.state[key] == "running" and self.holder[key][1] == token


def follow(jobs: Jobs, silence: Callable[[str], None], seed: int, turns: int = 250) -> None:
    """Let workers do what they like, and compare every answer and every standing with the model's."""
    draw = random.Random(seed)
    written = [
        Job(key=f"{group}{index}", group=group, after=after, together=together)
        for index in range(3)
        for group, after, together in [("a", "", 2), ("b", "", 1), ("c", "a", 3), ("d", "c", 1)]
    ]
    model, workers = Model(written), ["v", "w", "x"]
    hands: list[tuple[Claim, int]] = []  # everything that was ever claimed and not given back; lost claims too
    jobs.begin({"toy": 1}, written)
    for turn in range(turns):
        kind = draw.choice(["claim", "claim", "finish", "beat", "give back", "silence"])
        if kind == "claim":
            worker, most = draw.choice(workers), draw.randint(1, 4)
            claims, expected = jobs.claim(worker, most=most), model.claim(worker, most)
            assert [claim.job.key for claim in claims] == [key for key, _ in expected]
            assert [claim.deaths for claim in claims] == [model.deaths[key] for key, _ in expected]
            hands += [(claim, token) for claim, (_, token) in zip(claims, expected, strict=True)]
        elif kind == "silence":
            worker = draw.choice(workers)
            silence(worker)
            model.silent |= {
                key for key, (name, _) in model.holder.items() if name == worker and model.state[key] == "running"
            }
        elif hands:
            claim, token = draw.choice(hands)
            key, held = claim.job.key, model.holds(claim.job.key, token)
            if kind == "finish":
                assert jobs.finish(claim, {"turn": turn}) == held
                if held:
                    model.state[key], model.result[key] = "done", {"turn": turn}
            elif kind == "beat":
                share = draw.random()
                assert jobs.beat([claim], {key: share}) == ([] if held else [key])
                if held:
                    model.progress[key] = share
                    model.silent.discard(key)
            else:
                jobs.give_back([claim])
                if held:
                    model.state[key] = "waiting"
                    model.attempt[key] -= 1
                    model.silent.discard(key)
                hands.remove((claim, token))  # who gave a claim back does not use it any more
        for state in jobs.standings():
            key = state.job.key
            assert (state.state, state.attempt) == (model.state[key], model.attempt[key])
            assert state.result == model.result.get(key)
            if state.state != "waiting":
                assert state.worker == model.holder[key][0]
        if not jobs.left():
            break
    assert sum(state == "done" for state in model.state.values()) >= 3
