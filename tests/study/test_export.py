"""A study's tables, read back."""

import builtins
import csv
import dataclasses
import io

import made_up
import numpy as np
import pytest

from adversarium.study.export import write_tables
from adversarium.study.record import Record

NAMES = ("plain", 'with, comma "and" quotes', "<script>alert(1)</script>", "ünïcode 日本\nand a new line")


@pytest.fixture
def records():
    made = made_up.records_of(np.random.default_rng(1), methods=NAMES, failing=0.5)
    found = [dataclasses.replace(each, untrained=None if each.failed else 1.0 + each.seed) for each in made]
    assert any(record.failed for record in found)
    assert any(record.collapsed for record in found)
    return found


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


def test_csv_read_back_is_what_was_written(tmp_path, records):
    write_tables(tmp_path, records)
    rows = read_csv(tmp_path / "runs.csv")
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert (row["method"], int(row["seed"]), row["why"]) == (record.method, record.seed, record.why)
        assert (float(row["value"]) if row["value"] else None) == record.value
        assert (float(row["untrained"]) if row["untrained"] else None) == record.untrained
        assert row["failed"] == str(record.failed).lower()
        assert row["collapsed"] == str(record.collapsed).lower()
        assert row["suspicions"].split() == [each.kind for each in record.suspicions]
        for name in ("seconds", "kimg", "gradients", "steps", "together", "attempts"):
            assert float(row[name]) == getattr(record, name)
        for name, value in record.others.items():
            assert (float(row[f"other_{name}"]) if row[f"other_{name}"] else None) == value
        beta = record.options["beta1"]
        assert row["option_beta1"] == ("" if beta is None else str(beta))
        assert row["option_preset"] == record.method
    assert "option_seed" not in rows[0]
    assert "option_batch_size" not in rows[0]  # all methods share it
    curve = [(record.method, record.seed, point) for record in records for point in record.curve]
    rows = read_csv(tmp_path / "curves.csv")
    for row, (method, seed, point) in zip(rows, curve, strict=True):
        assert (row["method"], int(row["seed"])) == (method, seed)
        assert (float(row["value"]) if row["value"] else None) == point.value
        assert (float(row["kimg"]), float(row["seconds"])) == (point.kimg, point.seconds)
        assert int(row["gradients"]) == point.gradients


def test_parquet_says_the_same_with_types(tmp_path, records):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    write_tables(tmp_path, records)
    table = parquet.read_table(tmp_path / "runs.parquet")
    rows = table.to_pylist()
    for row, record in zip(rows, records, strict=True):
        assert row["method"] == record.method
        assert row["value"] == record.value
        assert row["untrained"] == record.untrained
        assert row["failed"] is record.failed
        assert row["option_beta1"] == record.options["beta1"]
        assert row["option_n_critic"] == record.options["n_critic"]
        assert row["other_recall5k"] == record.others["recall5k"]
    types = {
        name: str(table.schema.field(name).type)
        for name in ("value", "untrained", "failed", "gradients", "option_n_critic")
    }
    assert types == {
        "value": "double",
        "untrained": "double",
        "failed": "bool",
        "gradients": "int64",
        "option_n_critic": "int64",
    }
    curves = parquet.read_table(tmp_path / "curves.parquet").to_pylist()
    assert [each["value"] for each in curves] == [point.value for record in records for point in record.curve]


def test_options_of_different_types_and_failed_runs_only(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    options = [{"a": 1, "b": "x", "c": True}, {"a": 0.5, "b": 3, "c": None}]
    runs = [
        Record(method=str(at), seed=0, value=None, why="diverged", options=each) for at, each in enumerate(options)
    ]
    write_tables(tmp_path, runs)
    rows = parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert [row["option_a"] for row in rows] == [1.0, 0.5]
    assert [row["option_b"] for row in rows] == ['"x"', "3"]
    assert [row["option_c"] for row in rows] == [True, None]
    assert [row["value"] for row in rows] == [None, None]
    schema = parquet.read_schema(tmp_path / "runs.parquet")
    assert [str(schema.field(name).type) for name in ("value", "untrained")] == ["double"] * 2
    assert parquet.read_table(tmp_path / "curves.parquet").num_rows == 0
    assert (tmp_path / "curves.csv").read_text() == "method,seed,kimg,seconds,gradients,value\n"


def test_without_pyarrow_there_is_csv_alone_and_nothing_stale(tmp_path, records, monkeypatch):
    first = write_tables(tmp_path, records)
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    second = write_tables(tmp_path, records)
    assert {path.name for path in first} >= {path.name for path in second} == {"runs.csv", "curves.csv"}
    assert {path.name for path in tmp_path.iterdir()} == {"runs.csv", "curves.csv"}
