"""Which method for these data: plan, run, compare, report.

:mod:`~adversarium.study.conduct` begins a study and goes on with it; what is here needs no database.
"""

from adversarium.study.compare import compare
from adversarium.study.comparison import Comparison, Pair, Standing
from adversarium.study.plan import Budget, Method, Plan
from adversarium.study.record import Point, Record, Suspicion

__all__ = ["Budget", "Comparison", "Method", "Pair", "Plan", "Point", "Record", "Standing", "Suspicion", "compare"]
