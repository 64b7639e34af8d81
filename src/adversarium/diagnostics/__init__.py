"""Is it working, and if not, why? Read-only observers of a run that name a failure, its evidence and a remedy."""

from adversarium.diagnostics.data_checks import data_facts
from adversarium.diagnostics.detector import LIMITS, Detector, Limits
from adversarium.diagnostics.detectors import DETECTORS, diagnose, unjudged
from adversarium.diagnostics.finding import Circumstances, Finding, Record, Remedy
from adversarium.diagnostics.history import History
from adversarium.diagnostics.probe import PROBED, UpdateSizes, probe
from adversarium.diagnostics.state import State

__all__ = [
    "DETECTORS",
    "LIMITS",
    "PROBED",
    "Circumstances",
    "Detector",
    "Finding",
    "History",
    "Limits",
    "Record",
    "Remedy",
    "State",
    "UpdateSizes",
    "data_facts",
    "diagnose",
    "probe",
    "unjudged",
]
