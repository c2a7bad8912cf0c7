"""Phase 1's own recogniser: trained on actors to tell actors apart, with a margin loss.

It is judged on actors that it never saw, in frames aligned by a detector's landmarks (training uses
the true ones, shaken), and beside dlib's network on the same frames.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lab import checkpoint, course, faces, grid
from lab.actors.cache import FaceFrames, cached_faces
from lab.files import cache_dir
from lab.progress import Progress
from lab.training import Plan, fit, normal_noise

CROP_PX = 64  # what the network takes
STORED_PX = 80  # kept a quarter larger, so that shaken crops find pixels at their edges


@dataclass(frozen=True)
class Embedding:
    """The recipe.

    Args:
        name: of the weights.
        identities: how many actors to learn from, each in `frames_each` frames of `size_px`.
        held_out: how many other actors to measure with, each in `held_out_each` frames.
        epochs, batch, lr, seed: see `lab.training.Plan`.
        width, size: see `EmbeddingNet`.
        kind, margin, scale: see `margin_loss`.
    """

    name: str = "phase1-embedding"
    identities: int = 400
    frames_each: int = 16
    size_px: int = 128
    held_out: int = 60
    held_out_each: int = 8
    epochs: int = 16
    batch: int = 64
    lr: float = 2e-3
    width: int = 24
    size: int = 128
    kind: str = "cosface"
    margin: float = 0.35
    scale: float = 30.0
    seed: int = 0

    def train(self, out: Path, minutes: float | None = None) -> Path:
        """Render, train, measure, write weights and card.

        Args:
            out: folder for `NAME.pt` and `NAME.json`.
            minutes: train for about so long instead of for `epochs`.

        Returns:
            The path of the weights.
        """
        encoder = course.load("phase1_face_swap/face_encoder", "solution")
        started_s = time.monotonic()
        crops_N3HW, label_N = self.training_set(encoder)
        rendered_s = time.monotonic()
        torch.manual_seed(self.seed)
        learner = Learner(encoder, self)
        epochs = self.epochs if minutes is None else epochs_for(minutes, learner, crops_N3HW, self)
        plan = Plan(epochs, batch=self.batch, lr=self.lr, seed=self.seed)
        run = cache_dir() / "runs" / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        fit(
            learner,
            lambda model, batch: {"loss": model(*batch)},
            partial(shaken_batch, crops_N3HW, label_N),
            len(crops_N3HW),
            run,
            plan,
            config=asdict(self),
        )
        trained_s = time.monotonic()
        card = {
            "name": self.name,
            "what": "face embedding of 64-pixel crops (face type full), learned on rendered actors",
            "license": "MIT",
            "recipe": {**asdict(self), "epochs": epochs},
            "data": f"{self.frames_each} frames of each of {self.identities} actors, rendered by "
            "lab.actors; no photograph, and of no use on photographs",
            "minutes": {
                "rendering": round((rendered_s - started_s) / 60, 1),
                "training": round((trained_s - rendered_s) / 60, 1),
                "threads": torch.get_num_threads(),
            },
            "held_out": measure(encoder, learner.net, self),
        }
        config = {"width": self.width, "size": self.size}
        return checkpoint.save_reference(
            self.name, learner.net.state_dict(), config, card, folder=out
        )

    def training_set(self, encoder: ModuleType) -> tuple[Tensor, Tensor]:
        """Render (or find in the cache) and cut out: crops (N, 3, 80, 80) uint8, labels (N,)."""
        progress = Progress(self.identities * self.frames_each, "rendering actors", "frames")
        frames = cached_faces(
            self.seed,
            self.identities,
            frames_each=self.frames_each,
            size_px=self.size_px,
            on_frame=progress.step,
        )
        progress.finish()
        crops = [
            cut_out(encoder, image, points, STORED_PX)
            for image, points in zip(frames.image_NHW3, frames.landmarks_px_NL2, strict=True)
        ]
        label_N = np.unique(frames.identity_N, return_inverse=True)[1]
        crops_N3HW = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
        return crops_N3HW, torch.from_numpy(label_N)


class Learner(nn.Module):
    """The network, and one direction for each person it learns from."""

    def __init__(self, encoder: ModuleType, recipe: Embedding) -> None:
        super().__init__()
        self.net = encoder.EmbeddingNet(recipe.width, recipe.size)
        self.people_KD = nn.Parameter(torch.randn(recipe.identities, recipe.size))
        self.loss = partial(
            encoder.margin_loss, kind=recipe.kind, margin=recipe.margin, scale=recipe.scale
        )

    def forward(self, crops_B3HW: Tensor, label_B: Tensor) -> Tensor:
        """The margin loss of crops (B, 3, 64, 64) in [0, 1] of people `label_B`."""
        return self.loss(self.net(crops_B3HW), self.people_KD, label_B)


def cut_out(encoder: ModuleType, image_HW3: np.ndarray, points: np.ndarray, size_px: int) -> Any:
    """An aligned crop, uint8 (size, size, 3), at the scale of a 64-pixel crop whatever its size."""
    matrix_23 = encoder.align(points, "full", CROP_PX)
    matrix_23[:, 2] += (size_px - CROP_PX) / 2
    return encoder.crop(image_HW3, matrix_23, size_px)


def shaken_batch(
    crops_N3HW: Tensor, label_N: Tensor, indices: Sequence[int], seeds: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Crops as a careless detector, another camera and a mirror would give them.

    Args:
        crops_N3HW: uint8 (N, 3, 80, 80).
        label_N: who each shows.
        indices, seeds: which to take, and a seed for each.

    Returns:
        (B, 3, 64, 64) float32 in [0, 1] and (B,) int64.
    """
    images_B3HW = crops_N3HW[list(indices)].float() / 255
    noise_BK = normal_noise(seeds, 9)
    # Misaligned: shift by 1.3 pixels, turn by 2 degrees, scale by 3 %; half of them mirrored.
    angle_B, scale_B = 0.035 * noise_BK[:, 0], 1 + 0.03 * noise_BK[:, 1]
    mirror_B = noise_BK[:, 2].sign()
    turn_B22 = torch.stack(
        [
            torch.stack([angle_B.cos() * mirror_B, -angle_B.sin()], dim=1),
            torch.stack([angle_B.sin() * mirror_B, angle_B.cos()], dim=1),
        ],
        dim=1,
    )
    reach = (CROP_PX - 1) / (STORED_PX - 1)  # of a 64-pixel crop within the stored one
    grid_P2 = reach * grid.identity_grid(CROP_PX, CROP_PX).reshape(-1, 2)
    shift_B12 = (2 * 1.3 / (STORED_PX - 1)) * noise_BK[:, None, 3:5]
    where_BP2 = scale_B[:, None, None] * (grid_P2 @ turn_B22.mT) + shift_B12
    crops_B3HW = grid.sample(images_B3HW, where_BP2.reshape(-1, CROP_PX, CROP_PX, 2))
    # Another camera: gain of each colour, and a gamma.
    gain_B311 = (0.1 * noise_BK[:, 5:8, None, None]).exp()
    gamma_B111 = (0.2 * noise_BK[:, 8, None, None, None]).exp()
    return (crops_B3HW.clamp(1e-3, 1) ** gamma_B111 * gain_B311).clamp(0, 1), label_N[list(indices)]


def epochs_for(minutes: float, learner: Learner, crops_N3HW: Tensor, recipe: Embedding) -> int:
    """How many epochs fit into a time, measured on three steps whose gradients are not used."""
    batch = list(range(recipe.batch))
    label_N = torch.zeros(len(crops_N3HW), dtype=torch.int64)
    started_s = time.monotonic()
    for _ in range(3):
        learner(*shaken_batch(crops_N3HW, label_N, batch, batch)).backward()
    learner.zero_grad(set_to_none=True)
    seconds_per_step = (time.monotonic() - started_s) / 3
    return max(1, round(60 * minutes / seconds_per_step / (len(crops_N3HW) / recipe.batch)))


@torch.inference_mode()
def measure(encoder: ModuleType, net: nn.Module, recipe: Embedding) -> dict[str, float | int]:
    """Verification of held-out actors, in frames aligned by detected landmarks.

    Returns:
        AUC, EER, and balanced accuracy at the threshold calibrated on the first half of the actors,
        measured on the second half; AUC and EER of dlib's network on the same frames.
    """
    frames = cached_faces(
        recipe.seed,
        recipe.held_out,
        frames_each=recipe.held_out_each,
        size_px=2 * recipe.size_px,
        held_out=True,
    )
    ours, dlibs, who = embed_detected(encoder, net.eval(), frames)
    first = np.isin(who, np.unique(who)[: recipe.held_out // 2])
    threshold, _ = encoder.calibrate_threshold(*distances(ours[first], who[first]))
    same, different = distances(ours[~first], who[~first])
    balanced = ((same < threshold).mean() + (different >= threshold).mean()) / 2
    auc, eer = auc_and_eer(*distances(ours, who))
    dlib_auc, dlib_eer = auc_and_eer(*distances(dlibs, who))
    return {
        "auc": round(auc, 4),
        "eer": round(eer, 4),
        "threshold": round(threshold, 4),
        "balanced_accuracy": round(float(balanced), 4),
        "dlib_auc": round(dlib_auc, 4),
        "dlib_eer": round(dlib_eer, 4),
        "frames": len(who),
        "frames_without_detection": len(frames) - len(who),
    }


def embed_detected(
    encoder: ModuleType, net: nn.Module, frames: FaceFrames
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Our embeddings (N, D), dlib's (N, 128) and the identities (N,) of frames with a face found."""
    progress = Progress(len(frames), "measuring", "frames")
    crops, dlibs, who = [], [], []
    for image_HW3, identity in zip(frames.image_NHW3, frames.identity_N, strict=True):
        progress.step()
        if face := faces.largest_face(faces.detect_hog(image_HW3)):
            points = faces.landmarks_of(image_HW3, face)
            crops.append(cut_out(encoder, image_HW3, points, CROP_PX))
            dlibs.append(faces.embed(image_HW3, points))
            who.append(identity)
    progress.finish()
    crops_B3HW = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    ours = torch.cat([net(part) for part in crops_B3HW.split(64)])
    return ours.numpy(), np.stack(dlibs), np.array(who)


def distances(embedding_ND: np.ndarray, who_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances of all pairs: of one person, and of different people."""
    pairs = np.triu_indices(len(who_N), k=1)
    gap = embedding_ND[pairs[0]] - embedding_ND[pairs[1]]
    distance, same = np.linalg.norm(gap, axis=1), who_N[pairs[0]] == who_N[pairs[1]]
    return distance[same], distance[~same]


def auc_and_eer(same_N: np.ndarray, different_M: np.ndarray) -> tuple[float, float]:
    """How well distances separate: area under the ROC curve, and the rate of equal errors."""
    from sklearn.metrics import roc_auc_score, roc_curve

    is_same = np.concatenate([np.ones(len(same_N)), np.zeros(len(different_M))])
    score = -np.concatenate([same_N, different_M])
    false_accept, true_accept, _ = roc_curve(is_same, score)
    crossing = np.argmin(np.abs(false_accept - (1 - true_accept)))
    eer = (false_accept[crossing] + 1 - true_accept[crossing]) / 2
    return float(roc_auc_score(is_same, score)), float(eer)


EMBEDDING = Embedding()
