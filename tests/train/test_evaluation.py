"""Evaluating a run: the same numbers every time, of the run's own samples and splits; and the picture of it."""

import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adversarium.data import ArraySource, Codec, Prior, grid, mnist, open_data, splits, swiss_roll
from adversarium.errors import InputError
from adversarium.features import open_features
from adversarium.metrics import Measuring, MetricWarning, Protocol, References, frechet_distance, seed_of
from adversarium.train import TrainConfig, evaluation_picture, load_generator, resume, train
from adversarium.train.checkpoint import newest_first
from adversarium.train.evaluation import Evaluation, default_protocols, open_evaluation, written
from adversarium.train.evaluation_picture import evaluation_figure, interpolations, sheet
from adversarium.train.evaluator import Evaluator, drawing
from adversarium.train.feed import Feed
from adversarium.train.folder import RunFolder
from adversarium.train.sample import draw_samples, generate, sample_run

DIGITS = ["fd60_lenet_train", "coverage60_lenet_test", "is60_lenet_test", "memorisation60_lenet_train"]
TOY = ["modes100_raw_test", "sw2_50_raw_test"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train for two steps on 300 digits, of which 60 are held out."""
    folder = tmp_path_factory.mktemp("digits")
    source = mnist()
    np.savez(folder / "digits.npz", images=source.samples[:300, 0], labels=source.labels[:300])
    train(
        TrainConfig(
            data=str(folder / "digits.npz"), hold_out=0.2, steps=2, width=4, batch_size=8, out=str(folder / "run"),
            ema_rampup=1e6, precision="fp32",
        )
    )  # fmt: skip
    return folder / "run"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "run"
    train(TrainConfig(data="ring", steps=2, width=8, batch_size=8, out=str(folder)))
    return folder


@pytest.fixture(scope="module")
def roll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train for three steps, resumed after one, on data whose density is known and has no modes."""
    folder = tmp_path_factory.mktemp("roll") / "run"
    options = TrainConfig(
        data="swiss_roll", steps=1, width=8, batch_size=8, out=str(folder), diagnose_every_steps=1,
        evaluate="sw2_50_raw_test",
    )  # fmt: skip
    train(options)
    resume(folder, budget={"steps": 3})
    return folder


@pytest.fixture(scope="module")
def measured(digits: Path) -> Evaluation:
    return open_evaluation(digits, DIGITS, repeats=2).measured()


def test_a_run_is_measured_against_its_own_splits(digits: Path, measured: Evaluation):
    config = RunFolder.open(digits).config()
    train_split, held_out = splits(open_data(config.data), 0.2)
    assert isinstance(held_out, ArraySource)
    assert (len(train_split), len(held_out)) == (240, 60)
    trained = load_generator(digits)
    for each in measured.measurements:
        assert each.reference_samples == (240 if each.protocol.value == "memorisation" else 60)
        assert len(each.draws) == 2
    assert measured.estimated_seconds > 0
    assert measured.seconds > 0
    # by hand: the first draw, seen by the same features
    samples = sample_run(trained, 60, seed_of("codes", 0))
    order = np.random.default_rng(seed_of("real", "train")).permutation(240)
    reference = measured.measuring.see(train_split.take(order[:60]))["lenet"].rows
    fake = measured.measuring.see(samples)["lenet"].rows
    with pytest.warns(MetricWarning, match="rank-deficient"):
        expected = frechet_distance(reference, fake)
    assert measured.measurements[0].draws[0] == pytest.approx(float(expected), rel=1e-6)
    assert any("columns" in note for note in measured.measurements[0].notes)


def test_the_same_run_gives_the_same_numbers(digits: Path, measured: Evaluation):
    state = torch.get_rng_state()
    again = open_evaluation(digits, DIGITS[:2], repeats=2).measured()
    assert torch.equal(state, torch.get_rng_state())
    assert [each.draws for each in again.measurements] == [each.draws for each in measured.measurements[:2]]
    assert [each.floor for each in again.measurements] == [each.floor for each in measured.measurements[:2]]


def test_the_generator_as_trained_and_a_checkpoint(digits: Path, measured: Evaluation):
    as_trained = open_evaluation(digits, DIGITS[:1], repeats=2, average=False).measured()
    assert as_trained.measurements[0].draws != measured.measurements[0].draws
    newest = newest_first(digits / "checkpoints")[0]
    given = open_evaluation(digits, DIGITS[:1], repeats=2, checkpoint=newest).measured()
    assert given.measurements[0].draws == measured.measurements[0].draws
    assert given.trained.checkpoint == newest
    assert given.trained.images == 16


def test_what_is_written_is_json(measured: Evaluation):
    found = json.loads(json.dumps(measured.as_dict(), allow_nan=False))
    assert found["generator"] == "average"
    assert found["checkpoint"] == "step-00000002.safetensors"
    first = found["measurements"][0]
    assert (first["protocol"], first["value"], first["samples"]) == ("fd60_lenet_train", "fd", 60)
    assert first["mean"] == measured.measurements[0].mean
    assert first["draws"] == list(measured.measurements[0].draws)


def test_a_number_that_is_not_finite_is_none_in_json(toy: Path):
    # nothing near a mode: the reverse KL of no shares is infinite
    found = open_evaluation(toy, ["reverse_kl50_raw_test"], repeats=2).measured()
    assert found.measurements[0].mean == math.inf
    assert found.measurements[0].standard_error is None
    written_down = found.as_dict()["measurements"][0]
    assert (written_down["mean"], written_down["draws"]) == (None, [None, None])
    json.dumps(found.as_dict(), allow_nan=False)


def test_own_features_and_own_data(digits: Path):
    own = open_features(lambda x: x.mean((2, 3)))
    found = open_evaluation(digits, ["w2_20_brightness_test"], repeats=2, features={"brightness": own}).measured()
    assert found.measurements[0].mean > 0
    with pytest.raises(InputError, match="not the data that"):
        open_evaluation(digits, DIGITS, source=mnist())


# the protocols of a run that is told none


def vectors(n: int, test: ArraySource | None = None) -> ArraySource:
    return ArraySource("made", np.zeros((n, 2), np.float32), Codec((2,), (0.0,) * 2, (1.0,) * 2), test=test)


def pictures(n: int, shape: tuple[int, ...]) -> ArraySource:
    return ArraySource("made", np.zeros((n, *shape), np.uint8), Codec(shape))


@pytest.mark.parametrize(
    ("references", "first", "features", "without"),
    [
        (References(grid(), grid()), "modes2500_raw_test", {"raw"}, "memorisation"),
        (References(swiss_roll(), swiss_roll()), "sw2_2500_raw_test", {"raw"}, "modes"),
        (References(*splits(mnist(), 0.05)), "fd2500_lenet_train", {"lenet"}, "modes"),
        (References(pictures(9000, (1, 28, 28)), pictures(9000, (1, 28, 28))), "fd2500_lenet_test", {"lenet"}, "w2"),
        (References(pictures(300, (3, 32, 32)), None), "fd300_random_conv_train", {"random_conv"}, "memorisation"),
        (References(pictures(300, (3, 32, 32)), pictures(50, (3, 32, 32))), "fd300_random_conv_train",
         {"random_conv", "raw"}, "is"),
        (References(vectors(400), vectors(500)), "fd400_raw_test", {"raw"}, "is"),
    ],
)  # fmt: skip
def test_default_protocols_fit_the_data(references: References, first: str, features: set[str], without: str):
    names = default_protocols(references)
    parsed = [Protocol.parse(name) for name in names]
    assert names[0] == first
    assert [each.name for each in parsed] == names
    assert {each.features for each in parsed} == features
    values = {each.value for each in parsed}
    assert without not in values
    if references.density is None:
        assert ("memorisation" in values) == (references.test is not None)


def test_default_protocols_of_a_density_can_be_measured():
    for density in (grid(), swiss_roll()):
        names = default_protocols(References(density, density))
        Measuring(names, References(density, density), repeats=1)
        assert {"sw2", "energy", "w2"} < {Protocol.parse(name).value for name in names}


def test_default_protocols_leave_out_what_needs_more_samples():
    names = default_protocols(References(pictures(5, (3, 32, 32)), None))
    assert {Protocol.parse(name).value for name in names} == {"fd", "kid", "diversity"}
    with pytest.raises(InputError, match="1 samples: too few to measure anything by"):
        default_protocols(References(pictures(1, (3, 32, 32)), None))


def test_default_protocols_of_few_samples_can_be_measured(tmp_path: Path):
    np.save(tmp_path / "few.npy", np.random.default_rng(0).standard_normal((40, 2)).astype(np.float32))
    run = tmp_path / "run"
    train(TrainConfig(data=str(tmp_path / "few.npy"), hold_out=0.2, steps=1, width=4, batch_size=4, out=str(run)))
    found = open_evaluation(run, repeats=2).measured()
    assert {each.protocol.value for each in found.measurements} >= {"fd", "precision", "w2", "memorisation"}
    assert all(each.floor is not None for each in found.measurements)


# refusals


def test_a_run_without_checkpoints(digits: Path, tmp_path: Path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "data.json"):
        (bare / name).write_bytes((digits / name).read_bytes())
    (bare / "checkpoints").mkdir()
    with pytest.raises(InputError, match="no usable checkpoint"):
        open_evaluation(bare, DIGITS)
    with pytest.raises(InputError, match="holds no run"):
        open_evaluation(tmp_path, DIGITS)


def test_too_few_held_out_samples_and_other_wishes(digits: Path, toy: Path):
    with pytest.raises(InputError, match="did you mean 'fd60_lenet_train'"):
        open_evaluation(digits, ["fid60_lenet_train"])
    with pytest.raises(InputError, match="needs data whose density is known"):
        open_evaluation(digits, ["modes60_raw_train"])
    with pytest.raises(InputError, match="lenet features: samples are vectors of"):
        open_evaluation(toy, ["fd60_lenet_train"])
    with pytest.raises(InputError, match="repeats is 0"):
        open_evaluation(toy, TOY, repeats=0)


def test_a_density_without_modes_has_none_to_count(roll: Path):
    for name in ("modes", "high_quality", "reverse_kl", "std_ratio"):
        with pytest.raises(
            InputError, match=f"{name}60_raw_test: swiss_roll has no modes to count; take .* sw2, energy"
        ):
            open_evaluation(roll, [f"{name}60_raw_test"])


class Broken(nn.Module):
    """A generator that is NaN at some codes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, codes: Tensor) -> Tensor:
        samples = torch.zeros(len(codes), 1, 28, 28)
        samples[codes[:, 0] > 2] = math.nan
        return samples + self.weight


def test_a_generator_that_leaves_the_finite_numbers():
    # bytes cannot say so: without a look at what the network returns, NaN would be a black pixel
    with pytest.raises(InputError, match="the generator returns NaN or infinity"):
        drawing(Broken(), Codec((1, 28, 28)), Feed(Prior(4)))(500, 0)


# on the way


def evaluator(run: Path, protocol: str) -> tuple[Evaluator, nn.Module]:
    trained, config = load_generator(run), RunFolder.open(run).config()
    references = References(*splits(open_data(config.data), config.hold_out or 0.0))
    return Evaluator(protocol, references, trained.codec, trained.feed, trained.module), trained.module


def test_an_evaluator_measures_what_an_evaluation_does(digits: Path, measured: Evaluation):
    made, module = evaluator(digits, DIGITS[0])
    assert made.seconds > 0
    module.train()
    first, second = made.measure(module), made.measure(module)
    assert module.training
    module.eval()
    made.measure(module)
    assert not any(each.training for each in module.modules())
    assert first.draws == second.draws == measured.measurements[0].draws[:1]
    assert first.standard_error is None
    assert first.floor is not None
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.5)
    assert made.measure(module).draws != first.draws


def test_an_evaluator_changes_no_random_stream_and_no_weights(digits: Path):
    made, module = evaluator(digits, DIGITS[1])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    made.measure(module)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("protocol", "order"),
    [
        ("fd60_lenet_train", [5.0, 3.0, 0.1]),
        ("coverage60_lenet_test", [0.1, 0.5, 0.9]),
        ("density60_lenet_test", [3.0, 0.2, 1.5, 0.9]),
    ],
)
def test_which_of_two_is_better(digits: Path, protocol: str, order: list[float]):
    made, _ = evaluator(digits, protocol)
    for place, worse in enumerate(order):
        assert made.is_better(worse, None)
        assert not made.is_better(worse, worse)
        assert not made.is_better(math.nan, worse)
        assert made.is_better(worse, math.nan)
        for better in order[place + 1 :]:
            assert made.is_better(better, worse)
            assert not made.is_better(worse, better)
    assert not made.is_better(math.inf, None)


def test_an_evaluator_refuses_before_training():
    with pytest.raises(InputError, match="there is no test split"):
        Evaluator("fd60_lenet_test", References(mnist(), None), Codec((1, 28, 28)), Feed(Prior(4)), Broken())


def test_each_part_of_a_generator_goes_back_to_its_own_mode():
    parts = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval()).train()
    parts[1].training = False
    before = {name: value.clone() for name, value in parts.state_dict().items()}
    modes = [each.training for each in parts.modules()]
    generate(parts, Codec((2,), (0.0,) * 2, (1.0,) * 2), torch.ones(3, 2))
    assert [each.training for each in parts.modules()] == modes == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in parts.state_dict().items())


def test_samples_of_a_seed_begin_alike(toy: Path):
    trained = load_generator(toy)
    many = draw_samples(trained.module, trained.codec, trained.feed, 700, 3)
    assert np.array_equal(many[:300], draw_samples(trained.module, trained.codec, trained.feed, 300, 3))


# the picture and the words


def test_the_picture_of_images(measured: Evaluation):
    figure = evaluation_figure(measured)
    said = " ".join(axes.get_title() for axes in figure.axes)
    for words in ("samples, not chosen", "240 training samples", "from one code", "by class", "principal components"):
        assert words in said
    bars = next(axes for axes in figure.axes if axes.get_title().startswith("classes"))
    widths = [patch.get_width() for patch in bars.patches]
    assert sum(widths[:10]) == pytest.approx(100)
    assert sum(widths[10:]) == pytest.approx(100)
    assert "fd60_lenet_train" in figure.get_suptitle()
    figure.savefig(io.BytesIO(), format="png", dpi=30)


@pytest.mark.parametrize("width", [1, 6])
def test_the_picture_of_vectors(tmp_path: Path, width: int):
    np.save(tmp_path / "data.npy", np.random.default_rng(0).standard_normal((60, width)).astype(np.float32))
    run = tmp_path / "run"
    train(TrainConfig(data=str(tmp_path / "data.npy"), steps=1, width=4, batch_size=4, out=str(run)))
    figure = evaluation_figure(open_evaluation(run, ["w2_30_raw_train"], repeats=1).measured())
    histograms = [axes for axes in figure.axes if axes.get_title().startswith("column")]
    assert len(histograms) == min(width, 4) + (width == 1)
    figure.savefig(io.BytesIO(), format="png", dpi=30)


def test_the_picture_of_a_density(toy: Path):
    figure = evaluation_figure(open_evaluation(toy, TOY, repeats=1).measured())
    shares = next(axes for axes in figure.axes if axes.get_title().startswith("shares of the 8 modes"))
    assert len(shares.patches) == 8
    figure.savefig(io.BytesIO(), format="png", dpi=30)


def test_a_density_without_modes(roll: Path):
    records = RunFolder.open(roll).records()
    assert any("sw2_50_raw_test" in each for each in records)
    assert any("probe_coverage" in each for each in records)
    assert not any("probe_modes" in each or "probe_high_quality" in each for each in records)
    found = open_evaluation(roll, ["sw2_90_raw_test", "coverage90_raw_test"], repeats=2).measured()
    assert all(math.isfinite(each.mean) for each in found.measurements)
    figure = evaluation_figure(found)
    said = [axes.get_title() for axes in figure.axes]
    assert len(said) == 3
    assert not any("modes" in each for each in said)
    figure.savefig(io.BytesIO(), format="png", dpi=30)


def test_the_picture_of_images_without_classes(digits: Path):
    figure = evaluation_figure(open_evaluation(digits, ["fd60_random_conv_test"], repeats=1).measured())
    assert not any("class" in axes.get_title() for axes in figure.axes)
    figure.savefig(io.BytesIO(), format="png", dpi=30)


def test_the_picture_of_few_samples_and_of_features_in_one_column(digits: Path, tmp_path: Path):
    few = splits(open_data(RunFolder.open(digits).config().data), 0.2)[1]
    assert isinstance(few, ArraySource)
    np.savez(tmp_path / "few.npz", images=few.take(np.arange(5))[:, 0])
    run, own = tmp_path / "run", {"brightness": open_features(lambda x: x.mean((2, 3)))}
    train(TrainConfig(data=str(tmp_path / "few.npz"), steps=1, width=4, batch_size=2, latent_dim=4, out=str(run)))
    figure = evaluation_figure(open_evaluation(run, ["w2_4_brightness_train"], repeats=1, features=own).measured())
    said = " ".join(axes.get_title() for axes in figure.axes)
    assert "4 samples, not chosen" in said
    assert "of 5 training samples" in said
    assert "brightness features" in said
    figure.savefig(io.BytesIO(), format="png", dpi=30)


def test_the_picture_looks_at_no_more_training_samples_than_were_generated(
    digits: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its features can cost minutes, and the time that was announced is that of the measurements."""
    monkeypatch.setattr(evaluation_picture, "SHOWN", 50)
    figure = evaluation_figure(open_evaluation(digits, ["fd60_random_conv_test"], repeats=2).measured())
    assert any("of 120 training samples" in axes.get_title() for axes in figure.axes)


def test_codes_between_lie_on_great_circles():
    codes = interpolations(64, 5, 9).reshape(5, 9, 64)
    start, stop = codes[:, 0], codes[:, -1]
    cosines = nn.functional.cosine_similarity(codes[:, :-1], codes[:, 1:], dim=-1)
    lengths = codes.norm(dim=-1)
    # a straight line's middle would be about √½ as long
    assert (lengths > 0.95 * torch.minimum(start.norm(dim=-1), stop.norm(dim=-1))[:, None]).all()
    plane = torch.stack([start, stop], dim=1)
    left = codes - (codes @ torch.linalg.pinv(plane)) @ plane
    assert left.abs().max() < 1e-4
    assert (cosines > 0.9).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_sheet_has_each_image_in_its_place(channels: int):
    images = np.random.default_rng(0).integers(0, 255, (7, channels, 5, 4), dtype=np.uint8)
    whole = sheet(images, 3)
    assert whole.shape == (3 * 6 + 1, 3 * 5 + 1, 3)
    for index in range(7):
        top, left = 1 + index // 3 * 6, 1 + index % 3 * 5
        shown = images[index] if channels == 3 else images[index, :1]
        assert np.array_equal(
            whole[top : top + 5, left : left + 4], np.broadcast_to(shown.transpose(1, 2, 0), (5, 4, 3))
        )
    assert (sheet(images, 3, after_first=True)[:, 6:9] == 255).all()


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (3.14159, 0.0123, "3.142 ± 0.012"),
        (128.28, 0.088, "128.280 ± 0.088"),
        (12345.6, 120.0, "12350 ± 120"),
        (0.00208, 0.00008, "0.002080 ± 0.000080"),
        (8.0, 0.0, "8 ± 0"),
        (3.14159, None, "3.142"),
        (math.inf, None, "inf"),
        (1.0, 1e-12, "1 ± 1e-12"),
    ],
)
def test_numbers_have_the_digits_that_their_error_leaves(value: float, error: float | None, expected: str):
    assert written(value, error) == expected


def test_a_measured_evaluation_is_another(digits: Path):
    opened = open_evaluation(digits, DIGITS[:1], repeats=1)
    assert opened.measurements == ()
    assert len(opened.measured().measurements) == 1
    assert dataclasses.replace(opened).measurements == ()
