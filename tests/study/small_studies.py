"""Studies of a second or so: their plans, and what does their jobs in this process."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adversarium.study.jobs import Claim, Job
from adversarium.study.perform import Performer
from adversarium.study.plan import Budget, Method, Plan
from adversarium.study.run import trial_key
from adversarium.study.worker import Report

PROTOCOL = "sw2_100_raw_test"


def method(name: str, search: Mapping[str, str] | None = None, **options: Any) -> Method:
    return Method(name=name, options={"preset": name, **options}, search=search or {})


def plan(*methods: Method, **changes: Any) -> Plan:
    """Return a plan of small networks on the ring, or on other data."""
    return Plan(
        **{
            "data": "ring",
            "methods": methods or (method("gan"), method("wgan-gp")),
            "seeds": (0, 1),
            "budget": Budget(48.0, "gradients"),
            "protocol": PROTOCOL,
            "measurements": 2,
            "options": {"width": 8, "batch_size": 8, **changes.pop("options", {})},
            **changes,
        }
    )


def vectors(path: Path, count: int = 240, *, first: int = 0, labels: bool = False, conditions: bool = False) -> str:
    """Write numbered points: sample ``i`` begins with ``first + i``."""
    rng = np.random.default_rng(3)
    made = rng.normal(size=(count, 2)).astype(np.float32)
    made[:, 0] = first + np.arange(count)
    arrays: dict[str, Any] = {"vectors": made}
    if labels:
        arrays["labels"] = np.arange(count) % 3
    if conditions:
        arrays["conditions"] = rng.normal(size=(count, 2)).astype(np.float32)
    np.savez(path, **arrays)
    return str(path)


def images(path: Path, count: int = 48) -> str:
    """Write pictures of 32×32 in one colour each."""
    rng = np.random.default_rng(4)
    np.savez(path, images=np.broadcast_to(rng.integers(0, 256, (count, 1, 1, 3)), (count, 32, 32, 3)).astype(np.uint8))
    return str(path)


class Doing:
    """A study's jobs done in this process, without a database but that of its searches."""

    def __init__(self, plan: Plan, folder: Path, *, together: int = 64) -> None:
        self.plan, self.folder, self.together = plan, folder, together
        self.trials: dict[str, list[Mapping[str, Any]]] = {}
        self.stopping = False
        self.seen: list[tuple[str, float]] = []
        self.performer = Performer(
            plan,
            folder,
            url=f"sqlite:///{folder}/study.db",
            name="study",
            chosen=lambda name: self.trials.get(name, []),
            device="cpu",
        )

    def report(self, on: Callable[[str, float], None] = lambda key, progress: None) -> Report:
        """Return a report that notes what it is told."""
        doing = self

        class Noting(Report):
            def __call__(self, key: str, progress: float) -> None:
                super().__call__(key, progress)
                doing.seen.append((key, progress))
                on(key, progress)

        return Noting(lambda: doing.stopping)

    def do(self, claims: Sequence[Claim], on: Callable[[str, float], None] = lambda *_: None) -> dict[str, Any]:
        return dict(self.performer(claims, self.report(on)))

    def runs(self, method: str, seeds: Sequence[int] = (0,), **options: Any) -> list[dict[str, Any]]:
        """Do runs of a method together; return their results."""
        found = self.do([self.claim("run", method, seed=seed) for seed in seeds], **options)
        return [found[key] for key in found]

    def trial(self, method: str, number: int, **options: Any) -> dict[str, Any] | None:
        """Do a trial; return its result."""
        key = trial_key(method, number)
        result: dict[str, Any] | None = self.do([self.claim("trial", method, number=number)], **options).get(key)
        if result is not None:
            self.trials.setdefault(method, []).append(result)
        return result

    def claim(self, kind: str, method: str, **payload: int) -> Claim:
        (number,) = payload.values()
        if kind == "trial":
            payload["together"] = self.together
        job = Job(
            key=f"{kind}/{method}/{number}",
            group=f"{kind}/{method}",
            payload={"kind": kind, "method": method, **payload},
        )
        return Claim(job=job, worker="me", attempt=1)
