"""Train the face swap: `python phase1_face_swap/train.py --help`."""

import shlex
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lab import course, faces, training
from lab.arguments import Parser, run_command
from lab.face_sets import FaceSet, actors_fit, cut_faces, open_source
from lab.report import sheet

EXAMPLE = (
    "python phase1_face_swap/train.py --source data/anna --target data/ben "
    "--epochs 40 --out runs/anna_as_ben"
)
DESCRIPTION = (
    "Train an autoencoder that puts the source's face in place of the target's. --source and\n"
    "--target each take a clip folder, a folder of clips, a folder of pictures, or a video."
)
EXERCISES = ("face_detector", "face_encoder", "autoencoder")
_PREVIEW_ROWS = 5


def parser() -> Parser:
    """The command line."""
    p = Parser(prog="python phase1_face_swap/train.py", example=EXAMPLE, description=DESCRIPTION)
    p.add_argument("--source", type=Path, required=True, help="whose face is put in")
    p.add_argument("--target", type=Path, required=True, help="whose video it is put into")
    p.add_argument("--out", type=Path, required=True, help="folder for the run")
    p.add_argument("--epochs", type=int, default=40, help="passes over the larger set of faces")
    p.add_argument("--resume", action="store_true", help="go on with the run in --out")
    p.add_argument(
        "--preset",
        choices=("quick", "standard", "narrow"),
        default="quick",
        help="quick: 64 px; standard: 128 px; narrow: 128 px with 2.4 M parameters, as shipped",
    )
    p.add_argument("--batch", type=int, default=16, help="faces of each person a step")
    p.add_argument("--accumulate", type=int, default=1, help="batches averaged into one update")
    p.add_argument("--lr", type=float, default=2e-3, help="highest learning rate")
    p.add_argument("--precision", choices=training.PRECISIONS, default="auto")
    p.add_argument("--faces", type=int, default=3000, help="most faces taken of each person")
    p.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation")
    p.add_argument(
        "--impl",
        choices=course.loading.IMPLEMENTATIONS,
        default="auto",
        help="whose code runs: yours, the reference's, or yours where it is finished",
    )
    p.add_argument(
        "--consent", help="who agreed to this use, in words; needed for footage of real people"
    )
    p.add_argument(
        "--dry-run", action="store_true", help="measure two steps, say what would happen"
    )
    return p


def main(argv: list[str] | None = None) -> int:
    """Train. Returns 0; 2 for what the user can mend, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    return run_command(lambda: train(parser().parse_args(argv), argv))


def train(args: Namespace, argv: list[str]) -> int:
    """The command's work, step by step."""
    from lab.files import sha256
    from lab.provenance import require_consent

    # Check what can be checked before the slow part.
    plan = training.Plan(
        epochs=args.epochs,
        batch=args.batch,
        accumulate=args.accumulate,
        lr=args.lr,
        precision=args.precision,
        seed=args.seed,
    )
    training.check_folder(args.out, args.resume, args.dry_run)
    sources = [open_source(args.source), open_source(args.target)]
    inputs = [path for source in sources for path in source.inputs]
    statements = [
        require_consent(source.inputs, args.consent or source.consent) for source in sources
    ]
    consent = "; ".join(dict.fromkeys(filter(None, statements))) or None

    # Choose whose code runs.
    detector, encoder, autoencoder = load_exercises(args.impl)
    config = autoencoder.PRESETS[args.preset]

    # Cut the faces out; of two actors it is known how large they are beside each other.
    find, align = finder(detector), partial(aligned, encoder, config.face_type)
    seeds = [source.identity_seed for source in sources]
    fit_33 = None
    if None not in seeds:
        fit_33 = actors_fit(*seeds, size_px=config.size_px, align=align)
    sets = [
        cut_faces(
            source, config.size_px, find, align, encoder.crop, args.faces, fit, f"faces of {who}"
        )
        for source, who, fit in zip(sources, ("source", "target"), (fit_33, None), strict=True)
    ]

    # Build the model; its random weights follow from the seed.
    torch.manual_seed(args.seed)
    colours_23 = torch.stack([autoencoder.mean_colour(faces_.crops_N4PP) for faces_ in sets])
    model = autoencoder.FaceSwapAutoencoder(config, colours_23)

    # Train.
    device = training.choose_device()
    training.fit(
        model,
        partial(losses_of, autoencoder),
        Batches(autoencoder, sets, config.size_px, device),
        max(map(len, sets)),
        args.out,
        plan,
        config={"model": model.settings(), "preset": args.preset, "faces": [*map(len, sets)]},
        provenance={
            "command": shlex.join(["python", "phase1_face_swap/train.py", *argv]),
            "inputs": {} if args.dry_run else {path.name: sha256(path) for path in inputs},
            "consent": consent,
        },
        preview=Preview(autoencoder, sets, config.size_px, device, consent),
        resume=args.resume,
        dry_run=args.dry_run,
    )
    return 0


def load_exercises(impl: str) -> list[ModuleType]:
    """Load the exercises that training needs, and say which of them are the learner's."""
    loaded = [course.load(f"phase1_face_swap/{name}", impl) for name in EXERCISES]
    if training.first_process():
        for name, module in zip(EXERCISES, loaded, strict=True):
            own = Path(module.__file__).name.startswith("template_")
            print(f"{name}: {'yours' if own else 'reference'}")
    return loaded


def finder(detector: ModuleType) -> Any:
    """A function from a frame to the landmarks of its largest face, or None."""
    chain = detector.FallbackDetector(
        (detector.DlibHogDetector(), detector.MtcnnDetector.published())
    )

    def find(frame_HW3: np.ndarray) -> np.ndarray | None:
        face = faces.largest_face(chain.detect(frame_HW3))
        return None if face is None else faces.landmarks_of(frame_HW3, face)

    return find


def aligned(
    encoder: ModuleType, face_type: str, landmarks_px_L2: np.ndarray, size_px: int
) -> np.ndarray:
    """`face_encoder.align` with the face type first; (2, 3)."""
    return encoder.align(landmarks_px_L2, face_type, size_px)


class Batches:
    """Makes training batches: chosen faces of both people, augmented on the device.

    The larger set is passed through once an epoch; from the smaller one, the sample's seed draws.
    """

    def __init__(
        self, autoencoder: ModuleType, sets: list[FaceSet], size_px: int, device: torch.device
    ) -> None:
        self.autoencoder, self.size_px, self.device = autoencoder, size_px, device
        self.crops = [faces_.crops_N4PP.to(device) for faces_ in sets]
        self.largest = max(map(len, sets))

    def __call__(self, indices: list[int], seeds: list[int]) -> tuple[Tensor, ...]:
        """(warped, face, mask) of the source, then of the target."""
        noise = training.normal_noise(seeds, 2 * self.autoencoder.NOISE).to(self.device)
        batch: list[Tensor] = []
        for crops, noise_BN in zip(self.crops, noise.chunk(2, dim=1), strict=True):
            chosen = (
                indices if len(crops) == self.largest else [seed % len(crops) for seed in seeds]
            )
            batch += self.autoencoder.augment(crops[chosen], noise_BN, self.size_px)
        return tuple(batch)


def losses_of(
    autoencoder: ModuleType, model: nn.Module, batch: tuple[Tensor, ...]
) -> dict[str, Tensor]:
    """Mean of both people's reconstruction losses."""
    source, target = batch[:3], batch[3:]
    outputs = model(source[0], target[0])
    both = [
        autoencoder.reconstruction_losses(face.float(), mask.float(), true_face, true_mask)
        for (face, mask), (_, true_face, true_mask) in zip(outputs, (source, target), strict=True)
    ]
    return {name: (both[0][name] + both[1][name]) / 2 for name in both[0]}


class Preview:
    """Writes the preview sheet: both people, their reconstructions, and the swap."""

    def __init__(
        self,
        autoencoder: ModuleType,
        sets: list[FaceSet],
        size_px: int,
        device: torch.device,
        consent: str | None,
    ) -> None:
        self.autoencoder, self.consent = autoencoder, consent
        no_noise = torch.zeros(_PREVIEW_ROWS, autoencoder.NOISE)
        self.faces = []
        for faces_ in sets:
            chosen = torch.linspace(0, len(faces_) - 1, _PREVIEW_ROWS).long()
            crops = faces_.crops_N4PP[chosen]
            self.faces.append(autoencoder.augment(crops, no_noise, size_px)[1].to(device))

    def __call__(self, model: nn.Module, path: Path) -> None:
        """Draw with the averaged weights; the sheet is signed like everything synthetic."""
        from lab.media import tensor_to_frames
        from lab.provenance import Record, sign_and_write

        source, target = self.faces
        (source_again, _), (target_again, _) = model(source, target)
        columns = {
            "source": source,
            "rebuilt": source_again,
            "target": target,
            "rebuilt ": target_again,
            "swap": model.swap(target)[0],
        }
        frames = [tensor_to_frames(images.float().cpu()) for images in columns.values()]
        rows = [[frames[c][r] for c in range(len(frames))] for r in range(_PREVIEW_ROWS)]
        record = Record(
            what="preview of a face swap in training",
            command="python phase1_face_swap/train.py",
            source_type="compositeWithTrainedAlgorithmicMedia",
            consent=self.consent,
        )
        sign_and_write(path, sheet(rows, list(columns)), record)


if __name__ == "__main__":
    sys.exit(main())
