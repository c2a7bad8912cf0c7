"""The wiring of phase 1: from a checkpoint and a few words to a swapper that takes frames.

The four exercise modules know nothing of each other; here their functions are handed to each other.
"""

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from lab import checkpoint, faces, media
from lab.course import load
from lab.errors import UserError
from lab.files import sha256

Item = TypeVar("Item")

DETECTORS = ("auto", "hog", "mtcnn", "cnn")


@dataclass(frozen=True)
class Swap:
    """A swapper, and what must be written down about what it makes.

    Args:
        swapper: a `FaceSwapper` of phase 1; see its `swap_frames`.
        weights: "name sha256" of the checkpoint.
        card: the checkpoint's provenance.
        inputs: files it was built with besides the checkpoint: the picture of `like:IMAGE`.
    """

    swapper: Any
    weights: str
    card: dict[str, Any]
    inputs: tuple[Path, ...] = ()


def build_swap(
    model: str | Path,
    *,
    impl: str = "auto",
    detector: str = "auto",
    face: str = "largest",
    **settings: Any,
) -> Swap:
    """Load a model and put a swapper together.

    Args:
        model: path of a checkpoint, or the name of shipped weights: "phase1-pair-a" or "pair-a".
        impl: "mine", "solution" or "auto"; see `lab.course.load`.
        detector: one of `DETECTORS`.
        face: "largest", "all" or "like:IMAGE".
        **settings: the other fields of `Settings` in phase 1's face_swap.

    Raises:
        UserError: if the checkpoint or the picture cannot be used, or a choice does not exist.
    """
    rule, _, picture = face.partition(":")
    if rule not in ("largest", "all", "like") or (rule == "like") != bool(picture):
        raise UserError(f"--face is largest, all or like:IMAGE, not '{face}'")
    if detector not in DETECTORS:
        raise UserError(f"--detector is one of {', '.join(DETECTORS)}, not '{detector}'")
    modules = ("face_detector", "face_encoder", "autoencoder", "face_swap")
    find, encode, translate, put_back = (load(f"phase1_face_swap/{name}", impl) for name in modules)
    stored, weights = load_weights(model)
    network = build_network(translate, stored, weights)
    detect = build_detector(find, detector)
    swapper = put_back.FaceSwapper(
        tracker=find.FaceTracker(detect),
        align=partial(align_to, encode.align, network.config.face_type),
        crop=encode.crop,
        uncrop=encode.uncrop,
        model=network,
        settings=put_back.Settings(face=rule, **settings),
        embed=faces.embed,
        like_128=embedding_of(Path(picture), detect) if picture else None,
    )
    return Swap(swapper, weights, stored.provenance, (Path(picture),) if picture else ())


def load_weights(model: str | Path) -> tuple[checkpoint.Checkpoint, str]:
    """Read a checkpoint by path, or shipped weights by name; with "name sha256" for the record."""
    path = Path(model)
    if path.suffix or path.exists():
        stored = checkpoint.load(path)
        name = path.name
    else:
        name = str(model) if str(model).startswith("phase1-") else f"phase1-{model}"
        stored = checkpoint.load_reference(name)
        path = checkpoint.WEIGHTS_DIR / f"{name}.pt"
    return stored, f"{name} {sha256(path)}"


def build_network(autoencoder: ModuleType, stored: checkpoint.Checkpoint, name: str) -> Any:
    """The model in a checkpoint, ready to swap.

    Raises:
        UserError: if the checkpoint holds another model.
    """
    try:
        return autoencoder.FaceSwapAutoencoder.from_checkpoint(stored.state, stored.config)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{name.split()[0]} does not hold a face-swap model ({reason}); "
            "give a checkpoint.pt of phase1_face_swap/train.py"
        ) from error


def build_detector(face_detector: ModuleType, name: str) -> Any:
    """A detector by name. "auto" asks HOG, which is fast, and MTCNN where HOG finds nothing."""
    hog, mtcnn = face_detector.DlibHogDetector, face_detector.MtcnnDetector.published
    if name == "hog":
        return hog()
    if name == "mtcnn":
        return mtcnn()
    if name == "cnn":
        return face_detector.DlibCnnDetector()
    return face_detector.FallbackDetector((hog(), mtcnn()))


def align_to(align: Any, face_type: str, landmarks_px_L2: np.ndarray, size_px: int) -> np.ndarray:
    """`align` with the arguments in the order in which the swapper gives them."""
    return align(landmarks_px_L2, face_type, size_px)


def embedding_of(path: Path, detector: Any) -> np.ndarray:
    """The embedding (128,) of the largest face in a picture.

    Raises:
        UserError: if the picture cannot be read or shows no face.
    """
    frame_HW3 = media.read_image(path)
    face = faces.largest_face(detector.detect(frame_HW3))
    if face is None:
        raise UserError(f"{path}: no face found; give --face like: a picture that shows one")
    return faces.embed(frame_HW3, faces.landmarks_of(frame_HW3, face))


def prefetch(items: Iterable[Item], depth: int = 8) -> Generator[Item, None, None]:
    """Run an iterator ahead in a thread of its own, so that decoding, swapping and encoding overlap.

    Codecs, OpenCV and PyTorch let other threads run while they work. Order and errors are kept.

    Args:
        items: read in the thread only.
        depth: how many items may wait; what bounds the memory.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stop.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    break
            put("end", None)
        except BaseException as error:
            put("error", error)
        finally:
            # Generators hold files open; close them where they ran.
            if hasattr(items, "close"):
                items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join()
