"""Each example runs as it is printed: at most 60 lines, finite losses, a weight that moves, a picture."""

import importlib
import math
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from torch import Tensor

FOLDER = Path(__file__).parents[2] / "examples"
NEEDS = {
    "vae_gan": None,
    "vae_gan_accelerate": "accelerate",
    "vae_gan_lightning": "pytorch_lightning",
    "denoiser": None,
}
SHARED = "digits"
VAE_GANS = [name for name in NEEDS if name.startswith("vae_gan")]

pytestmark = [  # Lightning's own, about its own code and about loaders without workers
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Examples seed the global random state and import each other from their folder: both end with the test."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    with torch.random.fork_rng(devices=()):
        yield
    for name in [*NEEDS, SHARED]:
        sys.modules.pop(name, None)


def load(name: str) -> ModuleType:
    if needed := NEEDS[name]:
        pytest.importorskip(
            needed, reason=f"examples/{name}.py wants the package {needed}: the extra 'examples' has it"
        )
    example = importlib.import_module(name)
    if name in VAE_GANS:  # few digits to draw at the end
        train, held_out = example.digits()
        example.digits = lambda: (train, held_out[:32])
    return example


def test_every_example_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*NEEDS, SHARED}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_has_at_most_60_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", NEEDS)
def test_trains_with_finite_losses_and_a_weight_that_moves(name: str, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    network, sharpness, history = load(name).main(steps=10, seed=1, out=str(picture))
    assert math.isfinite(sharpness)
    assert sharpness > 0
    assert history.isfinite().all()
    error, weight = history[:, 0], history[:, 2]
    assert error[-1] < 0.9 * error[0]
    quarter = len(history) // 8
    assert (weight[:quarter] == 0).all(), "the weight starts after an eighth of the steps"
    assert (weight[2 * quarter :] > 0).all()
    assert weight[2 * quarter :].unique().numel() > 5
    assert all(each.isfinite().all() for each in network.parameters())
    with Image.open(picture) as found:
        assert found.width > 16 * 28
        assert found.height > 3 * 28
        assert found.getextrema() == (0, 255)


@pytest.mark.parametrize("name", NEEDS)
def test_runs_from_the_command_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load(name)
    picture = tmp_path / "from the command line.png"
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--steps", "1", "--seed", "3", "--out", str(picture)])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert picture.exists()
    assert "sharpness" in capsys.readouterr().out


def test_sharpness_of_ramps_is_their_slope() -> None:
    slopes = torch.rand(4, 2, dtype=torch.float64)
    place = torch.arange(28, dtype=torch.float64)
    images: Tensor = slopes[:, 0, None, None] * place[:, None] + slopes[:, 1, None, None] * place
    found = importlib.import_module(SHARED).sharpness(images[:, None])
    torch.testing.assert_close(found, slopes.norm(dim=1))


def test_scale_0_trains_the_vae_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weight: the critic cannot reach the VAE, whatever it is."""
    example = load("vae_gan")
    alone, _, history = example.main(steps=4, scale=0.0, out=str(tmp_path / "a.png"))
    assert (history[:, 2] == 0).all()
    monkeypatch.setattr(example.losses, "hinge", example.losses.wasserstein)
    other, _, _ = example.main(steps=4, scale=0.0, out=str(tmp_path / "b.png"))
    for one, two in zip(alone.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", NEEDS)
def test_the_critic_moves_by_its_own_loss_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first step is the same whatever the generator minimises, and follows all accumulated batches."""
    example, gradients = load(name), []
    hinge = example.losses.hinge()

    class Seen(torch.optim.Adam):
        def step(self, *args: object, **kwargs: object) -> object:
            gradients.append([each.grad.clone() for each in self.param_groups[0]["params"]])
            return super().step(*args, **kwargs)

    class Loud:
        critic = staticmethod(hinge.critic)

        def generator(self, real_scores: None, fake_scores: Tensor) -> Tensor:
            return -100 * fake_scores + fake_scores**2

    monkeypatch.setattr(torch.optim, "Adam", Seen)
    accumulate = {"accumulate": 4} if name == "vae_gan_accelerate" else {}
    _, _, history = example.main(steps=1, out=str(tmp_path / "a.png"), **accumulate)
    monkeypatch.setattr(example.losses, "hinge", Loud)
    _, _, other = example.main(steps=1, out=str(tmp_path / "b.png"), **accumulate)
    assert len(gradients) == 4, "two optimizers, two runs, a step each"
    assert len(history) == accumulate.get("accumulate", 1)
    assert not torch.equal(history[:, 1], other[:, 1])
    for one, two in zip(gradients[1], gradients[3], strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.slow
def test_a_critic_makes_reconstructions_sharper(tmp_path: Path) -> None:
    example = load("vae_gan")
    _, alone, _ = example.main(scale=0.0, out=str(tmp_path / "vae.png"))
    _, sharp, history = example.main(out=str(tmp_path / "vae_gan.png"))
    assert history[:, 2].isfinite().all()
    assert alone + 0.04 < sharp < 1.1


@pytest.mark.slow
def test_a_critic_makes_denoised_digits_sharper(tmp_path: Path) -> None:
    example = load("denoiser")
    _, alone, plain = example.main(steps=400, scale=0.0, out=str(tmp_path / "plain.png"))
    _, sharp, history = example.main(steps=400, out=str(tmp_path / "critic.png"))
    assert history.isfinite().all()
    assert plain[-20:, 0].mean() < 0.12
    assert history[-20:, 0].mean() < 0.13
    assert abs(sharp - 1) < abs(alone - 1)
