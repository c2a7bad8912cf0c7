"""Phase 1's shipped weights: two pairs of actors, each trained by the learner's own command.

Both actors of a pair perform on their own: other performances, other light, never the same scene.
What the weights are judged by is held out: performances that neither was seen in.
"""

import importlib.util
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch

from lab import checkpoint, course, faces, metrics
from lab.errors import UserError
from lab.files import cache_dir
from lab.progress import Progress

HELD_OUT_PERFORMANCES = 1_000_000  # seeds from here on are for evaluation


@dataclass(frozen=True)
class Pair:
    """One recipe.

    Args:
        name: of the weights.
        source_seed, target_seed: identities.
        clips: how many each actor performs; each has a light and a background of its own.
        seconds, rate_fps: of a clip; a low rate, so that frames differ.
        size_px: of the rendered frames.
        epochs, batch, lr, preset, precision, seed: as in phase1_face_swap/train.py.
        minutes: what `epochs` took on one thread of the machine they were chosen on.
    """

    name: str
    source_seed: int
    target_seed: int
    clips: int = 48
    seconds: float = 10.0
    rate_fps: float = 5.0
    size_px: int = 256
    epochs: int = 34
    minutes: float = 40.0
    batch: int = 16
    lr: float = 2e-3
    preset: str = "narrow"
    precision: str = "auto"
    seed: int = 0

    def performance_seeds(self, who: int) -> range:
        """Seeds of the target's (1) or the source's (0) performances; no two actors share one."""
        first = 1 + 1000 * (2 * self.seed + 1 - who)
        return range(first, first + self.clips)

    def train(self, out: Path, minutes: float | None = None) -> Path:
        """Render, train, measure, write weights and card; goes on where it was interrupted.

        Args:
            out: folder for `NAME.pt` and `NAME.json`.
            minutes: of training, in proportion to `self.minutes` for `self.epochs`.

        Returns:
            The path of the weights.
        """
        folders = [self.render(who) for who in (0, 1)]
        epochs = max(1, round(self.epochs * (minutes or self.minutes) / self.minutes))
        run = cache_dir() / "runs" / self.name
        arguments = self.arguments(*folders, run, epochs)
        if (run / "checkpoint.pt").exists():
            arguments.append("--resume")
        wall_s, processor_s = time.monotonic(), time.process_time()
        code = load_command().main(arguments)
        if code:
            raise UserError(
                f"the training of {self.name} ended with code {code}; go on with the same command, "
                f"or remove {run} to start again"
            )
        wall_s, processor_s = time.monotonic() - wall_s, time.process_time() - processor_s
        trained = checkpoint.load(run / "checkpoint.pt")
        module = course.load("phase1_face_swap/autoencoder", "solution")
        model = module.FaceSwapAutoencoder.from_checkpoint(trained.state, trained.config)
        card = {
            "name": self.name,
            "what": "face swap between two actors who do not exist: source into target",
            "recipe": {**asdict(self), "epochs": epochs},
            "data": f"{self.clips} clips of {self.seconds:g} s at {self.rate_fps:g} frames/s of "
            "each actor, performing apart, rendered by lab.actors; no photograph",
            "minutes": {"wall": round(wall_s / 60, 1), "processor": round(processor_s / 60, 1)},
            "threads": torch.get_num_threads(),
            "held_out": measure(model, self.source_seed, self.target_seed),
        }
        path = checkpoint.save_reference(
            self.name, trained.state["ema"], trained.config, card, folder=out
        )
        run.rename(run.with_name(f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"))
        return path

    def arguments(self, source: Path, target: Path, out: Path, epochs: int) -> list[str]:
        """The command line that trains this pair."""
        flags = {
            "--source": source,
            "--target": target,
            "--out": out,
            "--epochs": epochs,
            "--preset": self.preset,
            "--batch": self.batch,
            "--lr": self.lr,
            "--precision": self.precision,
            "--seed": self.seed,
            "--impl": "solution",
        }
        return [str(part) for flag in flags.items() for part in flag]

    def render(self, who: int) -> Path:
        """Render one actor's clips into the cache, unless they are there."""
        from lab.actors import Actor, Identity
        from lab.actors.dataset import voice_of, write_clip
        from lab.actors.performance import perform

        identity = Identity.sample((self.source_seed, self.target_seed)[who])
        folder = cache_dir() / "clips" / self.name / f"actor_{identity.seed:05d}"
        actor, seeds = Actor(identity), self.performance_seeds(who)
        progress = Progress(len(seeds), f"rendering actor {identity.seed}", "clips")
        for seed in seeds:
            clip = folder / f"performance_{seed}"
            if not (clip / "clip.json").is_file():
                performance = perform(seed, self.seconds, self.rate_fps, True, voice_of(identity))
                write_clip(clip, actor, performance, self.size_px, command=f"recipe {self.name}")
            progress.step()
        progress.finish()
        return folder


def load_command() -> ModuleType:
    """phase1_face_swap/train.py as a module; it is a script and belongs to no package."""
    path = course.loading.ROOT / "phase1_face_swap" / "train.py"
    spec = importlib.util.spec_from_file_location("phase1_face_swap_train", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(
    model: Any, source_seed: int, target_seed: int, performances: int = 12, frames: int = 10
) -> dict[str, float]:
    """Compare swaps with the truth on performances that nobody was trained on.

    The truth is the source actor in the target's performance; the region is where both show face,
    and for SSIM, the windows inside it. `python -m lab evaluate phase1` measures the whole program;
    this is the network alone, with true positions for dlib's landmarks to start from.

    Args:
        model: with `size_px`, `config.face_type` and `swap`.
        source_seed, target_seed: identities.
        performances: how many, each with another light.
        frames: of each.

    Returns:
        "l1_ratio" (L1 to the truth over L1 of no swap), "ssim", "l1", "frames".
    """
    from lab.actors import Actor, Identity
    from lab.actors.performance import perform, render_performance
    from lab.media import frames_to_tensor

    encoder = course.load("phase1_face_swap/face_encoder", "solution")
    actors = [Actor(Identity.sample(seed)) for seed in (source_seed, target_seed)]
    l1, l1_before, ssim = [], [], []
    for seed in range(HELD_OUT_PERFORMANCES, HELD_OUT_PERFORMANCES + performances):
        performance = perform(seed, seconds=frames / 2, rate_fps=2)
        scenes = zip(
            *(render_performance(actor, performance, 256) for actor in actors), strict=True
        )
        for truth, target in scenes:
            frame = target.image_HW3
            points = faces.landmarks68(frame, *faces.upright_box(target.landmarks_px_L2))
            matrix = encoder.align(points, model.config.face_type, model.size_px)
            crops = frames_to_tensor(encoder.crop(frame, matrix, model.size_px)[None])
            with torch.inference_mode():
                face, mask = (x[0].permute(1, 2, 0).numpy() for x in model.swap(crops))
            stacked, coverage = encoder.uncrop(np.dstack([face, mask]), matrix, *frame.shape[:2])
            alpha = stacked[..., 3:] * coverage[..., None]
            swapped = alpha * stacked[..., :3] + (1 - alpha) * frame / 255
            true = truth.image_HW3 / 255
            region = truth.mask_HW & target.mask_HW
            within = cv2.erode(region.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
            l1.append(metrics.l1(swapped, true, region))
            l1_before.append(metrics.l1(frame / 255, true, region))
            ssim.append(metrics.ssim(swapped, true, within))
    return {
        "frames": len(l1),
        "l1": round(float(np.mean(l1)), 4),
        "l1_ratio": round(float(np.sum(l1) / np.sum(l1_before)), 4),
        "ssim": round(float(np.mean(ssim)), 4),
    }


PAIRS = (
    Pair("phase1-pair-a", source_seed=8, target_seed=5),
    Pair("phase1-pair-b", source_seed=1, target_seed=11, seed=1),
)
