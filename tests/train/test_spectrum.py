"""A run as a game: the same function at every call, with the derivatives that training would follow."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adversarium.config import TrainConfig
from adversarium.errors import InputError
from adversarium.games import Game
from adversarium.games.linearised import Linearised
from adversarium.losses import nonsaturating
from adversarium.penalties import on_fraction, r2, zcr_critic
from adversarium.train import train
from adversarium.train.spectrum import game_of, run_game
from adversarium.types import Objective, Term


def gradient(game: Game) -> Tensor:
    parts = [
        *torch.autograd.grad(game.critic_loss(), game.critic),
        *torch.autograd.grad(game.generator_loss(), game.generator),
    ]
    return torch.cat([each.flatten() for each in parts])


def assert_jacobian_is_the_gradients(game: Game, width: float, tolerance: float) -> None:
    here, way = game.position(), torch.Generator().manual_seed(2)
    vector = torch.randn(len(here), generator=way, dtype=torch.float64)
    parts = [
        part.view_as(each)
        for each, part in zip(game.weights, vector.split([each.numel() for each in game.weights]), strict=True)
    ]
    linear = Linearised(game.critic_loss, game.generator_loss, game.critic, game.generator)
    found = torch.cat([each.flatten() for each in linear.product(parts)])
    sides = []
    for sign in (1, -1):
        game.move_to(here + sign * width * vector)
        sides.append(gradient(game))
    game.move_to(here)
    expected = (sides[0] - sides[1]) / (2 * width)
    assert float((found - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("preset", ["nsgan", "sngan", "wgan-gp", "r3gan", "rasgan", "ebgan"])
def test_the_game_of_a_run(preset: str, tmp_path: Path) -> None:
    run = train(TrainConfig(data="ring", preset=preset, steps=5, width=6, batch_size=8, out=str(tmp_path / "run")))
    before = {each: each.stat().st_mtime_ns for each in run.path.rglob("*")}
    state = torch.get_rng_state()
    game = run_game(run.path, batch=8)
    assert all(each.dtype == torch.float64 for each in game.weights)
    torch.testing.assert_close(gradient(game), gradient(game), rtol=0, atol=0)
    # a tenth of a millionth: no kink of a ReLU lies so near
    assert_jacobian_is_the_gradients(game, 1e-7, 1e-5)
    assert {each: each.stat().st_mtime_ns for each in run.path.rglob("*")} == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_on_images_with_batch_norm(tmp_path: Path) -> None:
    config = TrainConfig(data="mnist", steps=2, width=2, latent_dim=4, batch_size=4, out=str(tmp_path / "run"))
    game = run_game(train(config).path, batch=4)
    assert_jacobian_is_the_gradients(game, 1e-8, 1e-3)


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    critic = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1), nn.Flatten(0)).double()
    return generator, critic


def test_looking_changes_nothing_and_lazy_terms_count_once() -> None:
    (generator, critic), batch = networks(), torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator())
    real, codes = batch[:, :2], batch[:, 2:]

    def value(**options: object) -> Tensor:
        term = Term(name="r2", penalty=r2(), **options)
        objective = Objective(loss=nonsaturating(), critic_terms=(term,))
        return game_of(generator, critic, objective, real, codes).critic_loss().detach()

    plain = value()
    assert torch.equal(value(every=16), plain)
    assert torch.equal(value(fraction=0.2), plain)
    assert not torch.equal(value(weight=2.0), plain)
    game = game_of(generator, critic, Objective(loss=nonsaturating()), real, codes)
    game.move_to(torch.zeros_like(game.position()))
    assert all(each.any() for each in (*generator.parameters(), *critic.parameters()))
    state = torch.get_rng_state()
    game.critic_loss()
    assert torch.equal(torch.get_rng_state(), state)


def test_what_has_no_game_is_refused(tmp_path: Path) -> None:
    generator, critic = networks()
    objective = Objective(loss=nonsaturating(), critic_latent_terms=(Term(name="zcr", penalty=zcr_critic()),))
    with pytest.raises(InputError, match="terms of the codes"):
        game_of(generator, critic, objective, torch.zeros(2, 2), torch.zeros(2, 3))
    with pytest.raises(InputError, match="batch is 1"):
        run_game(tmp_path, batch=1)
    with pytest.raises(InputError):
        run_game(tmp_path / "none")


def test_fractions_of_any_kind_count_in_full() -> None:
    (generator, critic), batch = networks(), torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator())
    values = []
    for penalty in (r2(), on_fraction(r2(), 0.2)):
        objective = Objective(loss=nonsaturating(), critic_terms=(Term(name="r2", penalty=penalty),))
        values.append(game_of(generator, critic, objective, batch[:, :2], batch[:, 2:]).critic_loss().detach())
    assert torch.equal(*values)


def test_looking_seeds_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    (generator, critic), batch = networks(), torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator())
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    game_of(generator, critic, Objective(loss=nonsaturating()), batch[:, :2], batch[:, 2:]).critic_loss()
    assert seeded == []


def test_a_spectral_norm_that_moves_at_every_call_is_refused() -> None:
    generator, critic = networks()
    torch.nn.utils.spectral_norm(critic[0])
    with pytest.raises(InputError, match=r"0 has torch\.nn\.utils\.spectral_norm, which moves at every call"):
        game_of(generator, critic, Objective(loss=nonsaturating()), torch.zeros(2, 2), torch.zeros(2, 3))
