"""Metrics class by class."""

import pytest
import torch

from adversarium.errors import InputError
from adversarium.metrics.classes import per_class
from adversarium.metrics.frechet import frechet_distance
from adversarium.metrics.kernel import kernel_distance


@pytest.fixture
def sets():
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(90, 4, generator=rng), torch.randn(60, 4, generator=rng)
    return real, torch.arange(90) % 3, fake, torch.arange(60) % 3


def test_each_class_alone(sets):
    real, real_labels, fake, fake_labels = sets
    for function in (frechet_distance, kernel_distance):
        values = per_class(function, *sets)
        assert list(values) == [0, 1, 2]
        for label, value in values.items():
            assert value == function(real[real_labels == label], fake[fake_labels == label])


def test_it_sees_what_the_whole_hides(sets):
    real, labels, _, _ = sets
    real = real + 10 * labels[:, None]
    swapped = (labels + 1) % 3
    assert frechet_distance(real, real) < 1e-9
    assert min(per_class(frechet_distance, real, labels, real, swapped).values()) > 100
    assert max(per_class(frechet_distance, real, labels, real, labels).values()) < 1e-9


def test_missing_classes(sets):
    real, real_labels, fake, fake_labels = sets
    kept = fake_labels != 1
    with pytest.raises(
        InputError, match=r"fake has no samples of the classes \[1\]; classes=\[0, 2\] leaves them out"
    ):
        per_class(frechet_distance, real, real_labels, fake[kept], fake_labels[kept])
    values = per_class(frechet_distance, real, real_labels, fake[kept], fake_labels[kept], classes=[2, 0])
    assert list(values) == [2, 0]
    with pytest.raises(InputError, match=r"real has no samples of the classes \[7\]"):
        per_class(frechet_distance, *sets, classes=[0, 7])


def test_no_classes_are_refused(sets):
    with pytest.raises(InputError, match="classes is empty"):
        per_class(frechet_distance, *sets, classes=[])


def test_errors_name_the_class(sets):
    real, real_labels, fake, fake_labels = sets
    few = torch.cat([(fake_labels == 0).nonzero()[:, 0], (fake_labels == 1).nonzero()[:1, 0]])
    with pytest.raises(InputError, match="class 1: fake has 1 samples: wanted at least 2"):
        per_class(frechet_distance, real, real_labels, fake[few], fake_labels[few], classes=[0, 1])


def test_bad_labels(sets):
    real, real_labels, fake, fake_labels = sets
    with pytest.raises(InputError, match=r"fake_labels has shape \[59\]: wanted a class for each of 60 rows"):
        per_class(frechet_distance, real, real_labels, fake, fake_labels[1:])
    with pytest.raises(InputError, match="real_labels is torch.float32: wanted integers"):
        per_class(frechet_distance, real, real_labels.float(), fake, fake_labels)
