"""What a person types, right and wrong: exit codes, one clear sentence, no traceback, nothing overwritten."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from adversarium.cli import main, progress
from adversarium.cli.members import KINDS

TINY = ["--steps", "3", "--width", "4", "--batch-size", "4"]


def trained(folder: Path, data: str = "mnist", *options: str) -> Path:
    assert main(["train", data, *TINY, *options, "--out", str(folder)]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail, and return its one sentence."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err
    assert said.startswith("adversarium: ")
    assert "Traceback" not in said
    return said


def test_help_answers_without_torch() -> None:
    program = (
        "import sys; from adversarium.cli import main; code = main(['--help']); "
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules; sys.exit(code)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for command in ("train", "sample", "evaluate", "doctor", "dynamics", "list", "explain"):
        assert f"  {command} " in found.stdout
    lines = [line for line in found.stdout.splitlines() if ":  " in line or ": adv" in line][2:]
    assert len({line.index(" adversarium ") for line in lines}) == 1  # examples stand below one another
    assert " ".join(line.split()[0] for line in lines) == "train sample evaluate doctor study dynamics list explain"


@pytest.mark.parametrize("command", ["train", "sample", "evaluate", "doctor", "dynamics", "list", "explain"])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "usage: adversarium" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("adversarium 0.")


@pytest.mark.parametrize("kind", KINDS)
def test_list_and_explain_every_member(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    assert main(["list", kind]) == 0
    listed = capsys.readouterr().out
    for name in KINDS[kind]:
        assert f"{name} " in listed
        assert main(["explain", name]) == 0
        assert len(capsys.readouterr().out.splitlines()) >= 3


def test_explain_a_preset_tells_formula_settings_and_paper(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "wgan-gp"])
    said = capsys.readouterr().out
    for words in ("s - r", "(‖∇D(x̂)‖ - 1)²", "weight 10", "0.0001", "no batch norm", "1704.00028", "5 critic steps"):
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "unknown command 'trian' (did you mean 'train'?)"),
        (["train", "mnits"], "did you mean 'mnist'?"),
        (["train", "mnist", "--preset", "wgan_gp"], "unknown preset 'wgan_gp' (did you mean 'wgan-gp'?)"),
        (["train", "mnist", "--step", "3"], "unknown option '--step' (did you mean '--steps'?)"),
        (["train", "mnist", "--steps", "many"], "invalid int value: 'many'"),
        (["train", "mnist", "--steps", "0"], "steps is 0: wanted a positive number"),
        (["train", "mnist", "--batch-size", "-3"], "batch_size is -3"),
        (
            ["train", "mnist", "--preset", "wgan-gp", "--penalty-fraction", "1.5"],
            "penalty_fraction is 1.5: wanted a number above 0, at most 1",
        ),
        (["train", "ring", "--penalty-fraction", "0.5"], "penalty_fraction is 0.5, and rsgan has no penalty"),
        (["train", "mnist", "--preset", "ebgan", "--network", "dcgan"], "ebgan wants one of kind 'autoencoder'"),
        (["explain", "f_divergance"], "did you mean 'f_divergence'?"),
        (["explain", "WGAN-GP"], "did you mean 'wgan-gp'?"),
        (["list"], "KIND is missing; there are: presets, losses"),
        (["train", "mnist", "--kimg", "nan"], "kimg is nan"),
        (["train", "ring", "--kimg", "-inf"], "kimg is -inf: wanted a positive number"),
        (["train", "ring", "--kimg", "-5"], "kimg is -5.0: wanted a positive number"),
        (
            ["train", "ring", "--critic-learning-rate", "-1e-3"],
            "critic_learning_rate is -0.001: wanted a positive number",
        ),
        (["train", "ring", "--steps", "-5k"], "--steps: invalid int value: '-5k'"),
        (
            ["train", "ring", "--preset", "-gan"],
            "--preset wants a value, and '-gan' follows it; if that is the value: --preset=-gan (see: ",
        ),
        (["train", "ring", "--preset=-gan"], "unknown preset '-gan' (did you mean 'gan'?)"),
        (["train", "ring", "--out", "--steps", "3"], "--out wants a value, and the option --steps follows it (see: "),
        (["train", "ring", "--kimg"], "--kimg wants a value, and nothing follows it (see: "),
        (["sample", "nowhere", "-n"], "-n wants a value, and nothing follows it (see: "),
        (["sample", "nowhere", "-n", "-5", "--out", "a.png"], "nowhere: no such folder"),
        (["study", "ring", "--method", "-a: b", "--method"], "--method wants a value, and nothing follows it (see: "),
        (["train", "mnist", "--width", "0"], "width is 0"),
        (["train", "mnist", "--seed", "-1"], "seed is -1"),
        (["train", "mnist", "--steps", "9" * 400], "wanted a positive number"),
        (["train", "ring", "--width", "99999999"], "does not fit into memory"),
        (["train", "mnist", "--steps", "3", "--kimg", "3"], "steps and kimg are given: a run has one budget"),
        (["train", "mnist", "--precision", "fp16"], "precision is 'fp16' (did you mean"),
        (["train", "mnist", "--device", "gpu7"], "device is 'gpu7'"),
        (["train", "mnist", "--network", "dcgna"], "unknown network 'dcgna' (did you mean 'dcgan'?)"),
        (["train", "mnist", "--network", "vector-mlp"], "makes vectors"),
        (["train", "ring", "--network", "dcgan"], "cannot make samples of shape [2]"),
        (["train", "mnist", "--batch-size", "20000"], "'mnist' has only 9500 samples (500 more are held out)"),
        (["train", "mnist", "--preset", "wgan-gp", "--critic-batch-norm"], "must not contain batch norm"),
        (["train", "mnist", "extra"], "unknown argument 'extra'"),
        (["train", "--resume", "nowhere"], "nowhere: no such folder"),
        (["train", "--config", "nowhere.json"], "nowhere.json: no such file"),
        (["train", "--config", "run.yaml"], "wanted a configuration in .json or .toml"),
        (["sample", "nowhere", "--out", "a.png"], "nowhere: no such folder"),
        (["sample", "nowhere", "--out", "a.gif"], "wanted a name that ends in .png or .npz"),
        (["sample", "nowhere"], "required: --out"),
        (["list", "lossess"], "unknown kind 'lossess' (did you mean 'losses'?)"),
        (["explain", "nonsatrating"], "unknown name 'nonsatrating' (did you mean 'nonsaturating'?)"),
    ],
)
def test_wrong_input(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, *arguments)
    assert words in said
    assert os.listdir(tmp_path) == []  # nothing was begun


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is there")
def test_a_missing_gpu_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "torch sees 0 CUDA devices" in refused(capsys, "train", "mnist", "--device", "cuda")


def test_a_folder_with_another_run_is_not_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = refused(capsys, "train", "mnist", *TINY, "--out", str(run))
    assert "already holds files" in said
    assert f"adversarium train --resume {run}" in said
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    (tmp_path / "file").touch()
    assert "is a file" in refused(capsys, "train", "mnist", *TINY, "--out", str(tmp_path / "file"))


def test_the_default_folder_is_a_new_one_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", "ring", *TINY]) == 0
    assert sorted(os.listdir("runs")) == [f"ring-{_default_preset()}", f"ring-{_default_preset()}-2"]


def _default_preset() -> str:
    from adversarium.config import DEFAULT_PRESET

    return DEFAULT_PRESET


def test_options_from_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = trained(tmp_path / "one", "ring", "--seed", "5", "--preset", "lsgan")
    resolved = json.loads((run / "config.json").read_text())
    assert (resolved["preset"], resolved["seed"], resolved["latent_dim"]) == ("lsgan", 5, 2)
    # the saved configuration reads back; the command line wins
    assert main(["train", "--config", str(run / "config.json"), "--steps", "4", "--out", str(tmp_path / "two")]) == 0
    again = json.loads((tmp_path / "two" / "config.json").read_text())
    assert again == {**resolved, "steps": 4, "out": str(tmp_path / "two")}
    toml = tmp_path / "run.toml"
    toml.write_text('data = "ring"\nkimg = 1\nwidth = 4\nbatch_size = 4\n')
    assert main(["train", "--config", str(toml), "--steps", "2", "--out", str(tmp_path / "three")]) == 0
    toml.write_text('data = "ring"\nbatchsize = 4\n')
    assert "unknown option 'batchsize' (did you mean 'batch_size'?)" in refused(capsys, "train", "--config", str(toml))
    toml.write_text('data = "ring"\nbatch_size = "four"\n')
    assert "batch_size is 'four': wanted int" in refused(capsys, "train", "--config", str(toml))
    toml.write_text("data = \n")
    assert "cannot be read as a configuration" in refused(capsys, "train", "--config", str(toml))


def test_what_a_run_worked_out_follows_when_its_options_are_given_anew(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A run's own config.json holds every option as it was used; a file of one's own holds what was typed."""
    run = trained(tmp_path / "run", "ring")
    changed = {
        "preset": (
            ["--preset", "wgan-gp"],
            {"game": "alternating(n_critic=5, n_generator=1)", "beta1": 0.0, "width": 4},
        ),
        "n_critic": (["--n-critic", "3"], {"game": "alternating(n_critic=3, n_generator=1)", "beta1": 0.5}),
        "optimizer": (["--optimizer", "rmsprop"], {"beta1": 0.0, "beta2": 0.99}),
    }
    for name, (options, expected) in changed.items():
        out = tmp_path / name
        assert main(["train", "--config", str(run / "config.json"), *options, "--steps", "1", "--out", str(out)]) == 0
        found = json.loads((out / "config.json").read_text())
        assert {each: found[each] for each in expected} == expected
    sgd = ["train", "--config", str(run / "config.json"), "--optimizer", "sgd", "--out", str(tmp_path / "sgd")]
    assert "learning rates are for adam" in refused(capsys, *sgd)  # the saved rates are Adam's
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"data": "ring", "beta1": 0.25, "width": 8}))
    typed = ["train", "--config", str(own), "--preset", "wgan-gp", "--steps", "1", "--out", str(tmp_path / "typed")]
    assert main(typed) == 0
    assert json.loads((tmp_path / "typed/config.json").read_text())["beta1"] == 0.25


def test_a_rule_that_finds_no_step_ends_a_run_with_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--optimizer", "sgd", "--critic-learning-rate", "1", "--generator-learning-rate", "1", "--steps", "3"]
    game = ["--game", "competitive(max_iterations=1)", "--width", "8", "--out", str(tmp_path / "run")]
    assert main(["train", "ring", *options, *game]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "stopped at step 1: no solution in 1 GMRES iterations" in said


def test_a_negative_number_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    assert (
        main(["train", "ring", "--beta1", "-5e-1", "--steps", "1", "--width", "8", "--out", str(tmp_path / "r")]) == 0
    )
    assert json.loads((tmp_path / "r/config.json").read_text())["beta1"] == -0.5


def test_only_the_budget_may_change_on_resume(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "ring")
    assert "--preset with --resume" in refused(capsys, "train", "--resume", str(run), "--preset", "wgan")
    assert main(["train", "--resume", str(run), "--steps", "5"]) == 0


def test_samples_of_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run, out = trained(tmp_path / "run"), tmp_path / "made" / "grid.png"
    assert main(["sample", str(run), "-n", "9", "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.size[0] == picture.size[1]
    assert "exists already" in refused(capsys, "sample", str(run), "--out", str(out))
    assert main(["sample", str(run), "--out", str(out), "--force"]) == 0

    arrays = []
    for number, (n, seed) in enumerate([(300, 1), (7, 1), (7, 2)]):
        path = tmp_path / f"{number}.npz"
        assert main(["sample", str(run), "-n", str(n), "--seed", str(seed), "--out", str(path)]) == 0
        with np.load(path) as archive:
            assert archive.files == ["images"]
            arrays.append(archive["images"])
    assert arrays[0].shape == (300, 28, 28, 1)
    assert arrays[0].dtype == np.uint8
    # a seed's first samples do not depend on how many are asked for
    assert np.array_equal(arrays[0][:7], arrays[1])
    assert not np.array_equal(arrays[1], arrays[2])
    assert "n is 0" in refused(capsys, "sample", str(run), "-n", "0", "--out", str(tmp_path / "no.npz"))


def test_samples_of_vectors_are_in_the_datas_units(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal([1000.0, -5.0, 0.0], [50.0, 0.1, 1.0], (500, 3)).astype(np.float32)
    np.save(tmp_path / "data.npy", data)
    run = trained(tmp_path / "run", str(tmp_path / "data.npy"))
    assert main(["sample", str(run), "-n", "50", "--out", str(tmp_path / "s.npz")]) == 0
    assert main(["sample", str(run), "-n", "50", "--out", str(tmp_path / "s.png")]) == 0
    with np.load(tmp_path / "s.npz") as archive:
        made = archive["vectors"]
    assert made.dtype == np.float32
    assert made.shape == (50, 3)
    # an untrained generator's samples lie within a few standard deviations of the data's mean
    assert np.all(np.abs(made.mean(0) - data.mean(0)) < 3 * data.std(0))


def test_averaged_and_raw_samples_differ(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "ring")
    for name, options in (("average", []), ("raw", ["--raw"])):
        assert main(["sample", str(run), "-n", "5", "--out", str(tmp_path / f"{name}.npz"), *options]) == 0
    with np.load(tmp_path / "average.npz") as one, np.load(tmp_path / "raw.npz") as other:
        assert not np.array_equal(one["vectors"], other["vectors"])


def test_damaged_checkpoints(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "ring")
    (checkpoint,) = (run / "checkpoints").iterdir()
    whole, out = checkpoint.read_bytes(), str(tmp_path / "s.npz")
    other = next((trained(tmp_path / "other", "ring", "--width", "5") / "checkpoints").iterdir())
    said = refused(capsys, "sample", str(run), "--checkpoint", str(other), "--out", out)
    assert "holds another generator" in said
    torch.save({"weight": torch.zeros(1)}, checkpoint)
    assert "this is a pickle" in refused(capsys, "sample", str(run), "--out", out)
    checkpoint.write_bytes(whole[:-100])
    assert "damaged or cut short" in refused(capsys, "sample", str(run), "--out", out)
    assert "damaged or cut short" in refused(capsys, "train", "--resume", str(run), "--steps", "9")
    assert not Path(out).exists()


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = trained(tmp_path / "run", "ring", "--tensorboard")
    assert list(run.glob("events.out.tfevents.*"))


def test_a_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    out = tmp_path / "run"
    assert "adversarium[tensorboard]" in refused(capsys, "train", "ring", *TINY, "--tensorboard", "--out", str(out))
    assert not out.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_finish_the_step_save_and_say_how_to_resume(tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "adversarium", "train", "ring", "--width", "8", "--steps", "1000000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--out", str(run)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    deadline = time.monotonic() + 90
    metrics = run / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"continue with: adversarium train --resume {run}" in errors
    assert "Traceback" not in errors
    assert len(list((run / "checkpoints").iterdir())) == 1
    assert (run / "samples.png").exists()


def test_a_terminal_without_greek(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "adversarium", "explain", "minimax"],
        capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert b"-log ?(r)" in found.stdout


def test_the_live_bar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=shown, force_terminal=True, width=150))
    trained(tmp_path / "run", "ring", "--log-every-steps", "1")
    for words in ("kimg", "img/s", "ETA", "critic", "generator", "gap", "100%"):
        assert words in shown.getvalue()
