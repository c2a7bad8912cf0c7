"""The training loop: resumed runs equal uninterrupted ones, many processes equal one."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lab import checkpoint, training
from lab.errors import UserError

SAMPLES = 20
PLAN = training.Plan(epochs=3, batch=4, lr=1e-2, warmup=2, save_every_s=1e9, show_every_s=1e9)


def make_model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1))


class Noisy(nn.Module):
    """A model that draws from every global random generator, as dropout would."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = make_model()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn_like(x) + np.random.normal() + random.gauss(0, 1)
        return self.inner(x + 0.1 * noise)


def batch_of(indices: list[int], seeds: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(SAMPLES, 6, generator=torch.Generator().manual_seed(5))[indices]
    return x + 0.05 * training.normal_noise(seeds, 6), x[:, :1] * x[:, 1:2]


def losses_of(model: nn.Module, batch: tuple) -> dict[str, torch.Tensor]:
    error = model(batch[0]) - batch[1]
    return {"loss": error.square().mean(), "l1": error.abs().mean()}


def run(folder: Path, plan: training.Plan = PLAN, *, stop_at: int | None = None, **kwargs) -> Path:
    """Train the toy; with `stop_at`, press Ctrl-C during that step."""
    steps = 0

    def batches(indices: list[int], seeds: list[int]) -> tuple:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return batch_of(indices, seeds)

    model = kwargs.pop("model", None) or Noisy()
    return training.fit(model, losses_of, batches, SAMPLES, folder, plan, **kwargs)


def assert_same(a, b, where: str = "state") -> None:
    """Bit for bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), f"{where} differs by {(a.double() - b.double()).abs().max()}"
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, f"{where}: {a} != {b}"


def log_of(folder: Path) -> list[dict]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_run_leaves_its_files_and_learns(tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=40)
    path = run(tmp_path, plan, model=make_model(), config={"size": 6}, provenance={"data": "toy"})
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoint.pt",
        "config.json",
        "curve.png",
        "log.jsonl",
    }
    log = log_of(tmp_path)
    assert [record["step"] for record in log] == list(range(1, 201))
    assert np.mean([r["loss"] for r in log[-20:]]) < 0.5 * np.mean([r["loss"] for r in log[:20]])
    stored = checkpoint.load(path)
    assert stored.config["size"] == 6 and stored.config["plan"]["epochs"] == 40
    assert stored.config == json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert stored.provenance == {"data": "toy"}


def test_model_holds_the_averaged_weights_afterwards(tmp_path: Path) -> None:
    model = make_model()
    path = run(tmp_path, model=model)
    stored = checkpoint.load(path).state
    assert_same(dict(model.state_dict()), stored["ema"])
    assert not torch.equal(stored["ema"]["0.weight"], stored["model"]["0.weight"])
    assert not model.training


# 15 steps in 3 epochs of 5: in the middle of an epoch, and at its end.
@pytest.mark.parametrize("stop_at", [1, 7, 10])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, stop_at: int, capsys) -> None:
    straight = checkpoint.load(run(tmp_path / "straight")).state
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop_at=stop_at)
    assert f"stopped after step {stop_at} of 15; go on with --resume" in capsys.readouterr().out
    torch.rand(17), np.random.rand(5), random.random()  # another process has another random state
    resumed = checkpoint.load(run(tmp_path / "stopped", resume=True)).state
    assert_same(straight, resumed)
    assert log_of(tmp_path / "straight") == log_of(tmp_path / "stopped")


def test_resumed_run_equals_with_accumulation(tmp_path: Path) -> None:
    plan = replace(PLAN, batch=2, accumulate=2)
    straight = checkpoint.load(run(tmp_path / "straight", plan)).state
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", plan, stop_at=8)
    assert_same(straight, checkpoint.load(run(tmp_path / "stopped", plan, resume=True)).state)


def test_accumulation_equals_a_larger_batch(tmp_path: Path) -> None:
    model = [nn.Linear(6, 1), nn.Linear(6, 1)]
    model[1].load_state_dict(model[0].state_dict())
    run(tmp_path / "large", replace(PLAN, batch=4), model=model[0])
    run(tmp_path / "small", replace(PLAN, batch=1, accumulate=4), model=model[1])
    torch.testing.assert_close(model[0].weight, model[1].weight, rtol=0, atol=1e-6)


def test_saving_and_showing_do_not_change_the_result(tmp_path: Path) -> None:
    shown: list[Path] = []

    def preview(model: nn.Module, path: Path) -> None:
        assert not model.training
        shown.append(path)

    plan = replace(PLAN, epochs=1)
    often = replace(plan, save_every_s=0, show_every_s=0)
    quiet = checkpoint.load(run(tmp_path / "quiet", plan)).state
    assert_same(quiet, checkpoint.load(run(tmp_path / "busy", often, preview=preview)).state)
    assert shown == [tmp_path / "busy" / "preview.png"] * 5


KILLED = """
import os, signal, sys, torch
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_training as toy
from lab import training
torch.set_num_threads(1)
how, saves, steps, save = sys.argv[2], 0, 0, torch.save
def count_saves(content, handle):
    global saves
    saves += 1
    if how == "writing" and saves == 6:
        handle.write(bytes(3000)); handle.flush(); os.kill(os.getpid(), signal.SIGKILL)
    save(content, handle)
def count_steps(indices, seeds):
    global steps
    steps += 1
    if how == "training" and steps == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return toy.batch_of(indices, seeds)
torch.save = count_saves
plan = replace(toy.PLAN, save_every_s=0)
training.fit(toy.Noisy(), toy.losses_of, count_steps, toy.SAMPLES, Path(sys.argv[3]), plan)
"""


@pytest.mark.parametrize("how", ["training", "writing"])
def test_run_killed_with_9_can_be_resumed(tmp_path: Path, how: str) -> None:
    straight = checkpoint.load(run(tmp_path / "straight")).state
    folder, here = tmp_path / "killed", str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", KILLED, here, how, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any(p.name.endswith(".part.pt") for p in folder.iterdir()) == (how == "writing")
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 9, "lo')  # a line that the kill cut short
    resumed = checkpoint.load(run(folder, resume=True)).state
    assert_same(straight, resumed)
    assert log_of(tmp_path / "straight") == log_of(folder)
    assert not any(".part" in p.name for p in folder.iterdir())


TORCHRUN = """
import json, sys
from dataclasses import replace
from pathlib import Path
import torch
from torch import nn
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import test_training as toy
from lab import training
folder, seen = Path(sys.argv[2]), []
def batches(indices, seeds):
    seen.append(indices)
    return toy.batch_of(indices, seeds)
torch.manual_seed(3)
plan = replace(toy.PLAN, batch=2)
training.fit(nn.Linear(6, 1), toy.losses_of, batches, toy.SAMPLES, folder, plan)
rank = int(__import__("os").environ["RANK"])
(folder / f"seen-{rank}.json").write_text(json.dumps(seen), encoding="utf-8")
"""


def test_two_processes_equal_one_with_a_double_batch(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TORCHRUN, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(script), str(Path(__file__).parent), str(tmp_path / "two")],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    torch.manual_seed(3)
    run(tmp_path / "one", model=nn.Linear(6, 1))
    one, two = (checkpoint.load(tmp_path / name / "checkpoint.pt").state for name in ("one", "two"))
    torch.testing.assert_close(one["model"], two["model"], rtol=0, atol=1e-6)
    torch.testing.assert_close(one["ema"], two["ema"], rtol=0, atol=1e-6)
    losses = [[r["loss"] for r in log_of(tmp_path / name)] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert len(two["random"]) == 2, "the checkpoint holds the random state of both processes"

    seen = [json.loads((tmp_path / "two" / f"seen-{r}.json").read_text("utf-8")) for r in (0, 1)]
    for epoch in range(3):
        shares = [[i for step in s[5 * epoch : 5 * epoch + 5] for i in step] for s in seen]
        assert not set(shares[0]) & set(shares[1]), "the processes' shares overlap"
        assert sorted(shares[0] + shares[1]) == list(range(SAMPLES)), "a sample was left out"


def test_every_epoch_visits_each_sample_once_in_another_order(tmp_path: Path) -> None:
    seen: list[int] = []

    def batches(indices: list[int], seeds: list[int]) -> tuple:
        seen.extend(indices)
        return batch_of(indices, seeds)

    training.fit(make_model(), losses_of, batches, SAMPLES, tmp_path, PLAN)
    epochs = [seen[i * SAMPLES : (i + 1) * SAMPLES] for i in range(3)]
    assert all(sorted(epoch) == list(range(SAMPLES)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_fewer_samples_than_a_batch_are_repeated(tmp_path: Path) -> None:
    plan = replace(PLAN, batch=64, epochs=2)
    run(tmp_path, plan)
    assert [record["step"] for record in log_of(tmp_path)] == [1, 2]


def test_sample_seed_depends_on_each_of_its_arguments_only() -> None:
    seeds = {training.sample_seed(s, t, i) for s in range(3) for t in range(5) for i in range(7)}
    assert len(seeds) == 3 * 5 * 7 and all(0 <= seed < 2**63 for seed in seeds)
    assert training.sample_seed(1, 23, 4) != training.sample_seed(1, 2, 34)


def test_normal_noise_of_a_sample_ignores_its_neighbours() -> None:
    together = training.normal_noise([11, 12, 13], 500)
    assert torch.equal(together[1:2], training.normal_noise([12], 500))
    assert abs(float(together.mean())) < 0.1 and abs(float(together.std()) - 1) < 0.1


def test_learning_rate_rises_and_falls() -> None:
    plan = replace(PLAN, lr=1.0, warmup=10)
    rates = [training.learning_rate(step, 100, plan) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[49] == 1.0
    assert rates[75] == pytest.approx(0.51) and rates[99] < 0.03
    assert training.learning_rate(0, 1, replace(plan, warmup=0)) == 1.0


def test_dry_run_measures_and_writes_nothing(tmp_path: Path, capsys) -> None:
    run(tmp_path / "dry", dry_run=True)
    assert not (tmp_path / "dry").exists()
    assert "nothing was written" in capsys.readouterr().out


def test_second_run_in_a_folder_needs_resume(tmp_path: Path) -> None:
    run(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(UserError, match="--resume"):
        run(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_resume_names_what_is_missing_or_different(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint in"):
        run(tmp_path, resume=True)
    run(tmp_path, config={"preset": "quick"})
    with pytest.raises(UserError, match="batch = 4, not 2"):
        run(tmp_path, replace(PLAN, batch=2), config={"preset": "quick"}, resume=True)
    with pytest.raises(UserError, match="preset = quick, not standard"):
        run(tmp_path, config={"preset": "standard"}, resume=True)


def test_more_epochs_may_be_added(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, replace(PLAN, epochs=4), resume=True)
    assert [record["step"] for record in log_of(tmp_path)] == list(range(1, 21))


def test_exploding_loss_is_one_clear_line(tmp_path: Path) -> None:
    def nan_losses(model: nn.Module, batch: tuple) -> dict[str, torch.Tensor]:
        return {"loss": model(batch[0]).mean() * float("nan")}

    with pytest.raises(UserError, match="the loss became nan at step 1; .*--lr"):
        training.fit(make_model(), nan_losses, batch_of, SAMPLES, tmp_path, PLAN)


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 0), ("batch", 0), ("lr", -1.0), ("precision", "int8")]
)
def test_plan_names_the_flag_of_a_bad_setting(name: str, value) -> None:
    with pytest.raises(UserError, match=f"--{name} "):
        replace(PLAN, **{name: value})


def test_bfloat16_trains_close_to_float32(tmp_path: Path) -> None:
    finals = []
    for precision in ("float32", "bfloat16"):
        plan = replace(PLAN, epochs=20, precision=precision)
        run(tmp_path / precision, plan, model=make_model())
        finals.append(np.mean([r["loss"] for r in log_of(tmp_path / precision)[-20:]]))
    assert finals[1] == pytest.approx(finals[0], rel=0.2)
    assert finals[1] != finals[0], "autocast was not active"


def test_fit_leaves_signal_handlers_as_they_were_and_runs_in_threads(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    worker = threading.Thread(target=run, args=(tmp_path,))
    worker.start()
    worker.join(60)
    assert (tmp_path / "checkpoint.pt").exists()
    assert signal.getsignal(signal.SIGINT) is before
