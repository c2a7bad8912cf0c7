"""One training loop for every phase, on plain PyTorch.

`fit` reads from top to bottom. What makes an interrupted run continue as if nothing had happened:

- the order of the samples follows from (seed, epoch), and a sample's augmentation from
  (seed, step, index) alone, so it does not matter which process draws it, or when;
- a checkpoint holds everything that changes: weights, moving average, optimiser, random states
  and the position in the data;
- it is written atomically, so kill -9 leaves the previous one.

Files of a run: `config.json`, `log.jsonl` (one line a step), `curve.png`, `preview.png`,
`checkpoint.pt`. Start several processes with
`torchrun --nproc-per-node 2 phase1_face_swap/train.py ...`.
"""

import contextlib
import copy
import hashlib
import json
import math
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

from lab import checkpoint
from lab.errors import UserError
from lab.journal import Journal
from lab.progress import clock

PRECISIONS = ("auto", "float32", "bfloat16")
# A resumed run may change these; every other setting must be as it was.
_MAY_CHANGE = ("epochs", "save_every_s", "show_every_s")


@dataclass(frozen=True)
class Plan:
    """How to train, whatever the model.

    Args:
        epochs: passes over the data.
        batch: samples a process takes at once.
        accumulate: batches whose gradients are averaged into one update.
        lr: highest learning rate of Adam; see `learning_rate`.
        warmup: updates until `lr` is reached.
        ema: decay per update of the averaged weights, which previews and results use.
        precision: "float32"; "bfloat16" for the forward pass (autocast); "auto" for bfloat16 where
            the processor has instructions for it.
        seed: of the order of the data, the augmentation and the initial random state.
        save_every_s: seconds between checkpoints.
        show_every_s: seconds between refreshes of the curve and the preview.
    """

    epochs: int
    batch: int = 16
    accumulate: int = 1
    lr: float = 1e-3
    warmup: int = 50
    ema: float = 0.99
    precision: str = "float32"
    seed: int = 0
    save_every_s: float = 60.0
    show_every_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be at least 1, not {getattr(self, name)}")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise UserError(f"--lr must be a positive number, not {self.lr}")
        if self.precision not in PRECISIONS:
            raise UserError(f"--precision is one of {', '.join(PRECISIONS)}, not {self.precision}")


def fit(
    model: nn.Module,
    losses_of: Callable[[nn.Module, Any], dict[str, Tensor]],
    batch_of: Callable[[list[int], list[int]], Any],
    samples: int,
    folder: Path,
    plan: Plan,
    *,
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    preview: Callable[[nn.Module, Path], object] | None = None,
    resume: bool = False,
    dry_run: bool = False,
) -> Path:
    """Train a model; afterwards it holds the averaged weights.

    Args:
        model: in float32.
        losses_of: (model, batch) -> named scalars; "loss" is minimised, all are logged. It calls
            the model it is given once.
        batch_of: (indices, seeds) -> one batch: a tensor or a tuple of tensors. `seeds` has one
            number an index, for that sample's augmentation; see `normal_noise`.
        samples: how many samples there are.
        folder: where the run's files go.
        plan: how to train.
        config, provenance: stored in the checkpoint, beside the plan; plain types.
        preview: (averaged model, path) writes a picture; through lab.provenance if synthetic.
        resume: go on from the folder's checkpoint.
        dry_run: take two steps to measure the time, say what would happen, write nothing.

    Returns:
        The path of the checkpoint.

    Raises:
        UserError: if the folder holds a run and `resume` is not set, or holds none and it is set,
            if the settings differ from those of the resumed run, or if the loss explodes.
        KeyboardInterrupt: after Ctrl-C, once the checkpoint is written.
    """
    folder, path = Path(folder), Path(folder) / "checkpoint.pt"
    check_folder(folder, resume, dry_run)
    with (
        _processes() as (rank, world, device),
        _stop_request() as stop_asked,
        contextlib.closing(Journal(folder, preview, active=rank == 0 and not dry_run)) as journal,
    ):
        # Fix what depends on the machine, and this process's random state.
        torch.set_flush_denormal(True)
        plan = replace(plan, precision=resolve_precision(plan.precision, device))
        settings = {**(config or {}), "plan": asdict(plan), "processes": world}
        settings = json.loads(json.dumps(settings))
        _seed_everything(plan.seed + rank)

        # Build what is trained: the model, its moving average and the optimiser.
        model.to(device).train()
        average = copy.deepcopy(model).requires_grad_(False).eval()
        optimizer = torch.optim.Adam(model.parameters(), plan.lr, betas=(0.9, 0.99))
        step = 0

        # Go on where an interrupted run stopped.
        if resume:
            stored = checkpoint.load(path, device)
            _require_same_settings(stored.config, settings, folder)
            model.load_state_dict(stored.state["model"])
            average.load_state_dict(stored.state["ema"])
            optimizer.load_state_dict(stored.state["optimizer"])
            _set_random_state(stored.state["random"][rank], device)
            step = stored.state["step"]

        # Share the data out: each process takes every `world`-th sample of the epoch's order.
        sampler = DistributedSampler(range(samples), world, rank, seed=plan.seed)
        per_step = plan.batch * plan.accumulate
        steps_per_epoch = max(1, samples // (world * per_step))
        total = plan.epochs * steps_per_epoch
        parallel = DistributedDataParallel(model) if world > 1 else model
        order: list[int] = []

        # Say what will happen, and open the run's files (the first process does, for all).
        if rank == 0:
            count = sum(p.numel() for p in model.parameters()) / 1e6
            print(
                f"{count:.2f} M parameters, {samples} samples, {total} steps of {per_step * world}, "
                f"{world} process(es) on {device.type}, {plan.precision}",
                flush=True,
            )
        journal.open(settings, step, total)
        saved_s, end = time.monotonic(), min(total, step + 2) if dry_run else total

        while step < end:
            # Find this step's samples in the epoch's order.
            started_s = time.monotonic()
            epoch, position = divmod(step, steps_per_epoch)
            if position == 0 or not order:
                sampler.set_epoch(epoch)
                order = _at_least(list(sampler), per_step)
            mine = order[position * per_step : (position + 1) * per_step]

            # Set the learning rate.
            rate = learning_rate(step, total, plan)
            for group in optimizer.param_groups:
                group["lr"] = rate

            # Accumulate gradients; the processes average them with the last batch only.
            optimizer.zero_grad(set_to_none=True)
            sums: dict[str, Tensor] = {}
            for i in range(plan.accumulate):
                indices = mine[i * plan.batch : (i + 1) * plan.batch]
                seeds = [sample_seed(plan.seed, step, index) for index in indices]
                batch = _to_device(batch_of(indices, seeds), device)
                alone = world > 1 and i < plan.accumulate - 1
                with parallel.no_sync() if alone else contextlib.nullcontext():
                    with torch.autocast(
                        device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"
                    ):
                        losses = losses_of(parallel, batch)
                    (losses["loss"] / plan.accumulate).backward()
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0) + value.detach().float() / plan.accumulate

            # Average the losses over the processes; agree on whether to save, and whether to stop.
            save_due = rank == 0 and time.monotonic() - saved_s > plan.save_every_s
            flags = torch.tensor([float(save_due), float(stop_asked())], device=device)
            report = torch.cat([torch.stack(list(sums.values())), flags])
            if world > 1:
                dist.all_reduce(report)
            *means, save_due, stopping = (report / world).tolist()
            if not math.isfinite(sum(means)):
                raise UserError(
                    f"the loss became {means[0]} at step {step + 1}; start again with a lower --lr"
                )

            # Update the weights, and the moving average, which follows faster at first.
            optimizer.step()
            _average(average, model, min(plan.ema, (1 + step) / (10 + step)))
            step += 1

            # Log, and show how it goes.
            last = step == total or stopping > 0
            journal.note(
                {
                    "step": step,
                    "epoch": epoch + 1,
                    "lr": rate,
                    **dict(zip(sums, means, strict=True)),
                },
                time.monotonic() - started_s,
            )
            journal.show(average, plan.show_every_s, now=last)

            # Save now and then, and at the end.
            if (save_due > 0 or last) and not dry_run:
                state = {
                    "model": model.state_dict(),
                    "ema": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "random": _gather(_random_state(device), world),
                    "step": step,
                }
                if rank == 0:
                    checkpoint.save(path, state, settings, provenance or {})
                saved_s = time.monotonic()
            if stopping > 0 and step < end:
                if rank == 0:
                    journal.close()
                    print(f"stopped after step {step} of {total}; go on with --resume", flush=True)
                raise KeyboardInterrupt

        # Leave the averaged weights in the model: they are the result.
        if dry_run and rank == 0:
            took = clock((time.monotonic() - started_s) * total)
            print(f"dry run: the whole run would take about {took} (h:min:s); nothing was written")
        model.load_state_dict(average.state_dict())
        model.eval()
    return path


def check_folder(folder: Path, resume: bool, dry_run: bool = False) -> None:
    """Raise UserError if there is a run where none may be, or none where one is to go on.

    `fit` does this too; a command that prepares for minutes does it first.
    """
    exists = (Path(folder) / "checkpoint.pt").exists()
    if exists and not resume and not dry_run:
        raise UserError(f"{folder} holds a run already; add --resume, or choose another --out")
    if resume and not exists:
        raise UserError(f"no checkpoint in {folder} to go on with; leave out --resume")


def learning_rate(step: int, total: int, plan: Plan) -> float:
    """The rate of a step: a linear rise over `plan.warmup`, level to half-way, then a cosine to 2 %."""
    rise = min(1.0, (step + 1) / plan.warmup) if plan.warmup else 1.0
    late = max(0.0, 2 * step / max(total, 1) - 1)
    return plan.lr * rise * (0.02 + 0.98 * (1 + math.cos(math.pi * late)) / 2)


def sample_seed(seed: int, step: int, index: int) -> int:
    """The seed of one sample's augmentation at one step: 63 well-mixed bits."""
    digest = hashlib.blake2b(f"{seed}/{step}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def normal_noise(seeds: Sequence[int], count: int) -> Tensor:
    """Standard normal numbers that depend on each sample's own seed only.

    Returns:
        (B, count): row i is the same whatever the other seeds are.
    """
    rows = [torch.randn(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def choose_device() -> torch.device:
    """This process's GPU if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def resolve_precision(precision: str, device: torch.device) -> str:
    """Turn "auto" into "bfloat16" where the hardware computes in it, else "float32"."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bfloat16" if supported() else "float32"


def first_process() -> bool:
    """True in the process that speaks for all; torchrun numbers them in RANK."""
    return int(os.environ.get("RANK", 0)) == 0


@contextlib.contextmanager
def _processes() -> Iterator[tuple[int, int, torch.device]]:
    """Join the processes that torchrun started, if it did; yield (rank, number, device)."""
    device, world = choose_device(), int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        yield 0, 1, device
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield dist.get_rank(), world, device
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def _stop_request() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a request; the second one interrupts at once."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the model's; copy its buffers."""
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        for kept, current in zip(average.buffers(), model.buffers(), strict=True):
            kept.copy_(current)


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _random_state(device: torch.device) -> dict[str, Any]:
    """The state of every random generator of this process, as tensors and plain types."""
    name, keys, *rest = np.random.get_state()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "python": random.getstate(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Undo what happened to the random generators since `_random_state`."""
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def _gather(state: dict[str, Any], world: int) -> list[dict[str, Any]]:
    """Every process's state, in the order of their ranks."""
    if world == 1:
        return [state]
    states: list[Any] = [None] * world
    dist.all_gather_object(states, state)
    return states


def _require_same_settings(stored: Mapping, given: Mapping, folder: Path) -> None:
    """Raise UserError if a run is resumed with settings it was not started with."""
    flat = [
        {**{k: v for k, v in settings.items() if k != "plan"}, **settings["plan"]}
        for settings in (stored, given)
    ]
    for name in sorted(flat[0].keys() | flat[1].keys()):
        before, now = flat[0].get(name), flat[1].get(name)
        if before != now and name not in _MAY_CHANGE:
            raise UserError(
                f"{folder} was trained with {name} = {before}, not {now}; "
                f"resume with the same setting, or choose another --out"
            )


def _at_least(order: list[int], count: int) -> list[int]:
    """Repeat the order until it fills one step, for data sets smaller than a batch."""
    return order * -(-count // len(order)) if len(order) < count else order


def _to_device(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    return tuple(part.to(device, non_blocking=True) for part in batch)
