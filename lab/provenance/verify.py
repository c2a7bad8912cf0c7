"""Read all three layers of a file back and say in plain words what is left of them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lab.errors import UserError
from lab.provenance import label, manifest, records, watermark
from lab.provenance.manifest import Manifest, Statement
from lab.provenance.write import VIDEO_SUFFIXES

_LABEL_FRAMES = 12
_LOOKED_AT_S = 120
_SOURCE_TYPES = {
    "digitalCreation": "drawn by a renderer, shows no real person",
    "trainedAlgorithmicMedia": "made by a neural network",
    "compositeWithTrainedAlgorithmicMedia": "footage with parts made by a neural network",
}
_PROBLEMS = {
    "assertion.dataHash.mismatch": "the picture was changed after signing",
    "assertion.bmffHash.mismatch": "the video was changed after signing",
    "assertion.hashedURI.mismatch": "the manifest's text was changed after signing",
    "claimSignature.mismatch": "the signature does not fit the manifest",
    "padding.written": "something was written into the manifest's padding",
    "manifest.unreadable": "the manifest itself was damaged after signing",
}


@dataclass(frozen=True)
class Layer:
    """What one layer says.

    Args:
        state: one or two words; see `verify` for the possible ones.
        sentence: the same for a human reader.
        details: plain values for --json.
    """

    state: str
    sentence: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Verification:
    """The three layers of a file, and what they add up to."""

    path: Path
    label: Layer
    watermark: Layer
    manifest: Layer
    conclusion: str

    @property
    def layers(self) -> dict[str, Layer]:
        return {"label": self.label, "watermark": self.watermark, "manifest": self.manifest}

    @property
    def says_synthetic(self) -> bool:
        """True if at least one layer says that the file is synthetic; a tampered manifest may."""
        return self.manifest.state != "none" or "present" in (
            self.label.state,
            self.watermark.state,
        )


def verify(path: Path | str) -> Verification:
    """Look for label, watermark and manifest in a picture or video.

    States: label and watermark "present", "absent", or "unreadable" if the pixels cannot be
    decoded; manifest "trusted", "unknown signer", "tampered" or "none".

    Raises:
        UserError: if the file can be read neither as a picture or video nor as a manifest.
    """
    path = Path(path)
    frames = _Frames(path)
    try:
        mark = watermark.detect(frames)
        written = label.detect(frames.mean_HW3())
    except UserError as error:
        if not path.is_file() or (signed := manifest.read(path)).state == "none":
            raise
        unreadable = Layer("unreadable", f"unreadable: {error}", {})
        conclusion = _conclusion(False, None, signed)
        return Verification(path, unreadable, unreadable, _manifest_layer(signed), conclusion)
    signed = manifest.read(path)
    return Verification(
        path,
        _label_layer(written),
        _watermark_layer(mark, signed),
        _manifest_layer(signed),
        _conclusion(written.present, mark, signed),
    )


class _Frames:
    """The frames of a picture or video, thinned out, read once; keeps the mean of the first few."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._total: np.ndarray | None = None
        self._count = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame_HW3 in self._frames():
            if self._count < _LABEL_FRAMES:
                frame = frame_HW3.astype(np.float32)
                self._total = frame if self._total is None else self._total + frame
                self._count += 1
            yield frame_HW3

    def mean_HW3(self) -> np.ndarray:
        return np.rint(self._total / self._count).astype(np.uint8)

    def _frames(self) -> Iterator[np.ndarray]:
        """The picture, or every n-th frame of the video; by content if the suffix is misleading."""
        readers = [_picture, _video]
        if self._path.suffix.lower() in VIDEO_SUFFIXES:
            readers.reverse()
        first_error: UserError | None = None
        for reader in readers:
            try:
                yield from reader(self._path)
                return
            except UserError as error:
                first_error = first_error or error
        raise first_error


def _picture(path: Path) -> Iterator[np.ndarray]:
    from lab import media

    yield media.read_image(path)


def _video(path: Path) -> Iterator[np.ndarray]:
    """Frames spread over the first two minutes; of a damaged video, those that can be read."""
    from lab import media

    with media.VideoReader(path, on_error="skip") as reader:
        looked_at = min(reader.info.frames, int(_LOOKED_AT_S * reader.info.rate_fps))
        step = max(1, looked_at // watermark.MOST_FRAMES)
        empty = True
        for i, frame in enumerate(reader):
            if i % step == 0:
                empty = False
                yield frame.image_HW3
        if empty:
            raise UserError(f"cannot read {path}: no frame can be decoded; copy or export it again")


def _label_layer(found: label.LabelReading) -> Layer:
    details = {"score": round(found.score, 3), "needed": label.NEEDED}
    if found.present:
        sentence = f"present: {label.TEXT} is written in the corner (correlation {found.score:.2f})"
        return Layer("present", sentence, details)
    sentence = f"absent (best correlation {found.score:.2f}, {label.NEEDED} needed)"
    return Layer("absent", sentence, details)


def _watermark_layer(found: watermark.Reading, signed: Manifest) -> Layer:
    details: dict[str, Any] = {"score": round(found.score, 2), "needed": round(found.needed, 2)}
    if not found.present:
        sentence = f"absent (score {found.score:.1f}, {found.needed:.1f} needed)"
        return Layer("absent", sentence, details)
    exponent = max(found.log10_false_alarm, -99)
    chance = f"an unmarked file scores so high with a probability below 1e{exponent:.0f}"
    details["log10_false_alarm"] = round(found.log10_false_alarm, 1)
    details |= {name: value for name, value in asdict(found.place).items()}
    if found.payload is None:
        sentence = f"present, its id too faint to read (score {found.score:.1f}; {chance})"
        return Layer("present", sentence, details)
    details["id"] = f"{found.payload:08x}"
    sentence = f"present: id {details['id']} (score {found.score:.1f}; {chance})"
    if signed.watermark and signed.watermark != details["id"]:
        sentence += f"; the manifest names another id, {signed.watermark}"
    known = records.recall(found.payload)
    if known is not None:
        details["signed_here_as"] = known.what
        if signed.statement is None:
            sentence += f"; this machine signed that id: {known.what}, by `{known.command}`"
    return Layer("present", sentence, details)


def _manifest_layer(signed: Manifest) -> Layer:
    details: dict[str, Any] = {"problems": list(signed.problems), "signer": signed.signer}
    if signed.statement is not None:
        details |= asdict(signed.statement) | {"watermark": signed.watermark}
        details["parents"] = list(signed.parents)
    if signed.state == "none":
        return Layer("none", "none", details)
    says = _statement_sentence(signed.statement, signed.parents)
    if signed.state == "trusted":
        return Layer(
            "trusted", f"trusted: signed on this machine, unchanged since; {says}", details
        )
    if signed.state == "unknown signer":
        sentence = (
            f"signed by an unknown key that calls itself '{signed.signer}'; it claims: {says}"
        )
        return Layer("unknown signer", sentence, details)
    why = "; ".join(dict.fromkeys(_PROBLEMS.get(code, code) for code in signed.problems))
    return Layer("tampered", f"tampered: {why}; no longer to be believed: {says}", details)


def _statement_sentence(statement: Statement | None, parents: tuple[str, ...]) -> str:
    if statement is None:
        return "nothing that can be read here"
    kind = _SOURCE_TYPES.get(statement.source_type, statement.source_type)
    inputs = ", ".join(f"{name} (sha256 {digest[:12]})" for name, digest in statement.inputs)
    parts = [
        f"{statement.what} ({kind})",
        f"by `{statement.command}`",
        f"weights {', '.join(statement.weights)}" if statement.weights else "",
        f"from {inputs}" if inputs else "from no input",
        f"of which {', '.join(parents)} carried a manifest too" if parents else "",
        f'consent: "{statement.consent}"' if statement.consent else "no consent stated",
    ]
    return ", ".join(part for part in parts if part)


def _conclusion(labelled: bool, mark: watermark.Reading | None, signed: Manifest) -> str:
    """One sentence on what the layers say together."""
    payload = mark.payload if mark else None
    if signed.state == "trusted":
        if payload is not None and f"{payload:08x}" != signed.watermark:
            return "Synthetic. Manifest and watermark do not belong together."
        return "Synthetic, and what the manifest says can be believed."
    if signed.state == "unknown signer":
        return "Says it is synthetic; who says so is not known."
    if signed.state == "tampered":
        return "Was signed as synthetic and has been changed since."
    if mark and mark.present:
        return "Synthetic: the manifest is gone (re-saved or stripped), the watermark survived."
    if labelled:
        return "Labelled as synthetic; manifest and watermark are gone or never were there."
    return "No mark found. That does not mean that the file is real."
