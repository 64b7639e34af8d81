"""Facts of data against what was put into them, and what is found wrong."""

import dataclasses

import numpy as np
import pytest

from adversarium.config import TrainConfig
from adversarium.data import ArraySource, Codec, grid, open_data, ring
from adversarium.diagnostics import DETECTORS, Circumstances, data_checks, data_facts, diagnose, unjudged
from adversarium.presets import PRESETS

KINDS = ("data_range", "data_duplicates", "data_constant_channels")


def images(n=60, channels=1, low=0, high=255, seed=0, **more):
    rng = np.random.default_rng(seed)
    samples = rng.integers(low, high + 1, (n, channels, 6, 6), dtype=np.uint8)
    return ArraySource("images", samples, Codec((channels, 6, 6)), **more)


def vectors(samples, center=0.0, scale=1.0):
    samples = np.asarray(samples, dtype=np.float32)
    dim = samples.shape[1]
    return ArraySource("vectors", samples, Codec((dim,), (center,) * dim, (scale,) * dim))


def circumstances(facts):
    return Circumstances(config=TrainConfig(), preset=PRESETS["nsgan"], data=facts)


def found(source):
    return {finding.kind: finding for finding in diagnose([], circumstances(data_facts(source)))}


@pytest.mark.parametrize(
    "source", [open_data("mnist"), ring(), grid(), images(), images(channels=3), vectors(np.eye(9))]
)
def test_nothing_is_wrong_with_healthy_data(source):
    assert found(source) == {}


def test_facts_of_images():
    labels = np.array([0] * 30 + [1] * 20 + [2] * 10)
    source = images(channels=2, labels=labels, low=10, high=201)
    facts = data_facts(source)
    assert facts["samples"] == facts["looked_at"] == 60
    assert facts["minimum"] == 10
    assert facts["maximum"] == 201
    assert facts["range_used_share"] == pytest.approx(191 / 255, abs=0.05)
    assert facts["classes"] == 3
    assert facts["smallest_class_share"] == pytest.approx(1 / 6)
    assert facts["largest_class_share"] == pytest.approx(1 / 2)
    seen = source.samples / 127.5 - 1
    assert facts["encoded_scale"] == pytest.approx(np.sqrt((seen**2).mean()), rel=1e-5)
    assert facts["encoded_largest"] == pytest.approx(np.abs(seen).max(), rel=1e-5)
    assert facts["equal_channels"] == facts["constant_channels"] == facts["duplicates_share"] == 0


def test_facts_of_vectors(monkeypatch):
    rng = np.random.default_rng(1)
    samples = rng.normal(3, 2, (100, 4)).astype(np.float32)
    monkeypatch.setattr(data_checks, "_CHUNK", 7)
    facts = data_facts(vectors(samples, center=3.0, scale=2.0))
    seen = (samples - 3) / 2
    assert facts["encoded_scale"] == pytest.approx(np.sqrt((seen**2).mean()), rel=1e-5)
    assert facts["encoded_largest"] == pytest.approx(np.abs(seen).max(), rel=1e-5)
    assert facts["minimum"] == samples.min()
    assert "range_used_share" not in facts
    assert "classes" not in facts


def test_the_facts_are_those_of_the_rows_that_belong_to_the_source():
    rng = np.random.default_rng(2)
    source = vectors(rng.normal(size=(50, 2)))
    source.samples[40:] = 1e6
    kept = dataclasses.replace(source, rows=np.arange(40))
    assert data_facts(kept)["maximum"] < 10
    assert data_facts(kept)["samples"] == 40


def test_images_stored_from_0_to_1_are_found():
    finding = found(images(high=1))["data_range"]
    assert finding.evidence["maximum"] == 1.0
    assert finding.severity > 0.9
    assert "0.39 %" in finding.what
    assert "data_range" not in found(images(low=60, high=200))


def test_a_few_bright_pixels_do_not_hide_a_small_range():
    source = images(n=100, high=20)
    source.samples[0, 0, 0, 0] = 255
    assert "data_range" in found(source)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_vectors_in_other_units_are_found(factor):
    x = np.random.default_rng(3).normal(size=(80, 3))
    assert found(vectors(x)) == {}
    assert set(found(vectors(x * factor))) == {"data_range"}
    assert found(vectors(x * factor, scale=factor)) == {}


def test_a_stray_sample_is_found():
    x = np.random.default_rng(3).normal(size=(80, 3))
    x[5, 1] = 1e4
    assert found(vectors(x))["data_range"].evidence["encoded_largest"] == pytest.approx(1e4)


def test_duplicates_are_counted():
    once = images(n=40)
    for share, copies in ((0.0, 0), (0.2, 10), (0.5, 40)):
        samples = np.concatenate([once.samples, once.samples[:copies]])
        source = dataclasses.replace(once, samples=samples)
        assert data_facts(source)["duplicates_share"] == pytest.approx(share)
        assert ("data_duplicates" in found(source)) == (share > 0)
    assert data_facts(ring())["duplicates_share"] == 0


def test_equal_and_constant_channels_are_counted():
    source = images(channels=4)
    source.samples[:, 1] = source.samples[:, 0]
    source.samples[:, 3] = 255
    facts = data_facts(source)
    assert facts["equal_channels"] == 1
    assert facts["constant_channels"] == 1
    assert "is the same in all samples" in found(source)["data_constant_channels"].what
    x = np.random.default_rng(3).normal(size=(80, 5))
    x[:, [1, 4]] = 2.0, -7.0
    assert found(vectors(x))["data_constant_channels"].evidence["constant_channels"] == 2


def test_a_large_data_set_is_looked_at_in_part(monkeypatch):
    monkeypatch.setattr(data_checks, "MOST_SAMPLES", 25)
    facts = data_facts(images(n=60))
    assert facts["samples"] == 60
    assert facts["looked_at"] == 25
    monkeypatch.setattr(data_checks, "MOST_BYTES", 36 * 10)
    assert data_facts(images(n=60))["looked_at"] == 10
    monkeypatch.undo()


def test_nothing_is_said_of_data_that_were_not_looked_at():
    assert diagnose([], circumstances({})) == []
    reasons = unjudged([], circumstances({}))
    assert {reasons[kind] for kind in KINDS} == {"the data were not looked at"}
    some = {"duplicates_share": 0.5}
    assert [each.kind for each in diagnose([], circumstances(some))] == ["data_duplicates"]
    assert unjudged([], circumstances(some))["data_range"] == "encoded_scale was not measured"
    assert set(KINDS) < set(DETECTORS)
