"""Named protocols: ``fd10k_lenet_test`` says the metric, how many samples, in which features, against which split."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from adversarium.errors import InputError
from adversarium.features import FEATURES
from adversarium.metrics.metric import Metric
from adversarium.metrics.table import METRICS

Split = Literal["train", "test"]
"""Which real samples a protocol compares with: those that were trained on, or those that were not."""

_TAIL = r"(?P<count>[1-9]\d*)(?P<kilo>k?)_(?P<features>.+)_(?P<split>[a-z]+)"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured, from how many samples, seen how, and compared with what.

    Attributes:
        value: a member of ``METRICS``.
        samples: how many generated samples a draw has, and how many real ones they are compared with.
        features: a member of ``FEATURES``, or the name of the caller's own.
        split: ``train`` compares with samples that were trained on, ``test`` with samples that were not.
    """

    value: str
    samples: int
    features: str
    split: Split

    @property
    def name(self) -> str:
        """Its only spelling, with thousands as ``k`` and an underscore after a value that ends in a digit."""
        count = f"{self.samples // 1000}k" if self.samples % 1000 == 0 else str(self.samples)
        gap = "_" if self.value[-1].isdigit() else ""
        return f"{self.value}{gap}{count}_{self.features}_{self.split}"

    @property
    def metric(self) -> Metric:
        """The member of ``METRICS``."""
        return METRICS[self.value]

    @classmethod
    def parse(cls, name: str, *, features: Iterable[str] = ()) -> "Protocol":
        """Return the protocol of a name: ``fd10k_lenet_test``, ``w2_500_raw_train``, ``high_quality2500_raw_test``.

        Args:
            name: what was typed; ``10000`` and ``10k`` are the same.
            features: names of features besides those of ``FEATURES``.

        Raises:
            InputError: a part of it is unknown; gives the nearest valid name, and what there is for each part.
        """
        known = [*FEATURES, *features]
        for value in sorted(METRICS, key=len, reverse=True):
            match = re.fullmatch(f"{value}_?{_TAIL}", name)
            if match and match["features"] in known and match["split"] in get_args(Split):
                samples = int(match["count"]) * (1000 if match["kilo"] else 1)
                return cls(value=value, samples=samples, features=match["features"], split=_split(match["split"]))
        raise InputError(_refusal(name, known))


def seed_of(*words: str | int) -> int:
    """Return the seed of a purpose, from 0 to 2^63 - 1: the start of the SHA-256 of its words, joined by slashes.

    Draw r of every protocol has the codes of ``seed_of("codes", r)``; the real samples stand in the order of
    ``seed_of("real", split)``; a metric that draws (projections, say) has ``seed_of("metric", r)``. Nothing depends on
    a run's own seed, nor on which protocols are measured together.
    """
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _split(name: str) -> Split:
    return "train" if name == "train" else "test"


def _refusal(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with a name, the nearest valid one, and the choices for each part that is wrong."""
    choices = {"value": list(METRICS), "features": list(known), "split": list(get_args(Split))}
    if "," in name:
        return f"protocol {name!r}: wanted one protocol only, {name.partition(',')[0].strip()} say"
    match, wrong = _loosely(name), list(choices)
    if (whole := _loosely(f"{name}_test")) and whole["features"].casefold() in map(str.casefold, known):
        match, found = whole, ["no split at its end"]
        wrong = [part for part in ("value", "features") if match[part] not in choices[part]]
        found += [f"no {part} {match[part]!r}" for part in wrong]
        wrong.append("split")
    elif match is not None:
        wrong = [part for part in choices if match[part] not in choices[part]]
        found = [f"no {part} {match[part]!r}" for part in wrong] or ["no capital K for thousands"]
    lists = "; ".join(f"{_PLURALS[part]}: {', '.join(choices[part])}" for part in wrong)
    if match is None:
        return f"protocol {name!r}: wanted VALUE, SAMPLES, _FEATURES and _SPLIT, fd10k_lenet_test say; {lists}"
    close = {part: _closest(match[part], choices[part]) for part in choices}
    hint = ""
    if all(close.values()):
        gap = "_" if close["value"][-1].isdigit() else ""
        count = match["count"] + match["kilo"].lower()
        nearest = f"{close['value']}{gap}{count}_{close['features']}_{close['split']}"
        hint = f" (did you mean {nearest!r}?)"
    return "; ".join(filter(None, [f"protocol {name!r}{hint}: there is {' and '.join(found)}", lists]))


_PLURALS = {"value": "values", "features": "features", "split": "splits"}


def _loosely(name: str) -> re.Match[str] | None:
    """Return the parts of a name, whatever they are."""
    spaced = re.fullmatch(f"(?P<value>.+)_{_TAIL}", name, re.IGNORECASE)
    return spaced or re.fullmatch(f"(?P<value>.+?){_TAIL}", name, re.IGNORECASE)


def _closest(word: str, choices: Sequence[str]) -> str:
    """Return the nearest choice, upper and lower case alike, or an empty string."""
    folded = {choice.casefold(): choice for choice in choices}
    return next((folded[each] for each in difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.4)), "")
