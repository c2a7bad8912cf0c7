"""The signed manifest: Content Credentials that say synthetic, by what, from what, by whose consent.

Written into the file by the `c2pa` library and signed with this machine's key (`keys`). Reading
trusts our own root and nothing else: a certificate that merely carries our name is an unknown
signer. No step uses the network: no time stamp, no revocation check, no remote manifest.

Source: C2PA Technical Specification 2.2; IPTC digital source types.
"""

import hashlib
import json
import mmap
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from lab.errors import UserError
from lab.files import sha256
from lab.provenance.keys import ORGANIZATION, SigningIdentity, known_root, signing_identity

MIME_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
}
SourceType = Literal[
    "digitalCreation", "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
]
State = Literal["trusted", "unknown signer", "tampered", "none"]

_SOURCE_TYPE_URL = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_STATEMENT = "org.deepfakes-from-scratch.statement"
_WATERMARK = "org.deepfakes-from-scratch.tile.1"
_MOST_INGREDIENTS = 8
_SETTINGS = {
    "version": 1,
    "verify": {
        "verify_after_reading": True,
        "verify_trust": True,
        "verify_after_sign": False,
        "ocsp_fetch": False,
        "remote_manifest_fetch": False,
    },
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True)
class Record:
    """How a synthetic file came to be; the caller's part of the manifest.

    Args:
        what: a few words: "face swap", "rendered actor".
        command: the command line, without the machine's folders.
        source_type: "digitalCreation" for rendered actors, "trainedAlgorithmicMedia" for what a
            network made alone, "compositeWithTrainedAlgorithmicMedia" for a network's part in
            other footage.
        weights: "name sha256" of each set of weights.
        inputs: the files it was made from; the manifest gets their names and hashes.
        consent: the statement of who is shown and agreed; None if only actors are shown.
    """

    what: str
    command: str
    source_type: SourceType
    weights: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    consent: str | None = None


@dataclass(frozen=True)
class Statement:
    """What a manifest says: a `Record` whose inputs are names and hashes."""

    what: str
    command: str
    source_type: str
    weights: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    consent: str | None

    @classmethod
    def of(cls, record: Record) -> "Statement":
        """Hash the inputs of a record.

        Raises:
            UserError: if an input cannot be read.
        """
        if record.source_type not in get_args(SourceType):
            raise ValueError(
                f"expected a source type of {get_args(SourceType)}, got {record.source_type!r}"
            )
        return cls(
            record.what,
            record.command,
            record.source_type,
            tuple(record.weights),
            tuple((Path(path).name, _hash(path)) for path in record.inputs),
            record.consent,
        )

    @property
    def payload(self) -> int:
        """The watermark's 32 bits: the beginning of this statement's hash."""
        text = json.dumps(asdict(self), sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big")


@dataclass(frozen=True)
class Manifest:
    """What was read from a file.

    Args:
        state: "trusted": signed by this machine and unchanged since; "unknown signer": unchanged,
            but signed by a key that we do not know; "tampered": content or manifest was changed
            after signing; "none": no manifest.
        problems: the validator's codes, for "tampered" and "unknown signer".
        signer: the name in the certificate, which proves nothing unless the state is "trusted".
        statement: what it says, if it is one of ours to parse; believe it only if "trusted".
        watermark: the payload that the file should carry, 8 hex digits.
        parents: titles of the inputs whose own manifests are included.
    """

    state: State
    problems: tuple[str, ...] = ()
    signer: str = ""
    statement: Statement | None = None
    watermark: str = ""
    parents: tuple[str, ...] = field(default=())


def sign(
    source: Path,
    target: Path,
    title: str,
    statement: Statement,
    inputs: Sequence[Path] = (),
    identity: SigningIdentity | None = None,
) -> None:
    """Copy `source` to `target` with a manifest inside.

    Inputs that carry a trusted manifest of their own become ingredients, the first one the parent:
    the chain back to the actors stays readable in the last file.

    Args:
        source: a finished media file; the suffix of `target` says its type.
        target: where to write; no file of value (write atomically around this call).
        title: the name that the manifest gives the file.
        inputs: the files it was made from.
        identity: who signs; None is this machine.

    Raises:
        UserError: if the signed copy cannot be made, mostly for want of space.
    """
    import c2pa

    identity = identity or signing_identity()
    marked = [Path(path) for path in inputs if _may_carry(path) and read(path).state == "trusted"]
    marked = marked[:_MOST_INGREDIENTS]
    definition = _definition(title, statement, edits_parent=bool(marked))
    info = c2pa.C2paSignerInfo(b"es256", identity.chain, identity.private_key, None)
    try:
        with (
            c2pa.Builder(definition, _context(identity.root)) as builder,
            c2pa.Signer.from_info(info) as signer,
            source.open("rb") as unsigned,
            target.open("w+b") as signed,
        ):
            for i, path in enumerate(marked):
                relation = "parentOf" if i == 0 else "inputTo"
                ingredient = {"title": path.name, "relationship": relation, "label": f"input{i}"}
                with path.open("rb") as handle:
                    builder.add_ingredient(ingredient, MIME_TYPES[path.suffix.lower()], handle)
            builder.sign(signer, MIME_TYPES[target.suffix.lower()], unsigned, signed)
    except c2pa.C2paError as error:
        raise UserError(
            f"cannot sign {title}: {error}; free some space or choose another folder"
        ) from error


def read(path: Path | str) -> Manifest:
    """Read and validate the manifest of a file.

    Changing any byte of the picture or of the statement shows. What does not: some fifty bytes of
    container bookkeeping (lengths, box names, PNG's checksum) that carry no information.

    Raises:
        UserError: if the file cannot be opened.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            found = _read(handle, MIME_TYPES.get(path.suffix.lower()))
            if found is None:
                if _contains(handle, b"c2pa.signature"):
                    return Manifest("tampered", ("manifest.unreadable",))
                return Manifest("none")
            if found.state == "trusted" and not _padding_is_blank(handle):
                return replace(found, state="tampered", problems=("padding.written",))
            return found
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; check the path") from error


def _read(handle: BinaryIO, mime: str | None) -> Manifest | None:
    """What the library makes of a file; None if it finds no manifest, or nothing it can read."""
    import c2pa

    try:
        reader = c2pa.Reader.try_create(mime, handle, context=_context(known_root()))
        if reader is None:
            return None
        with reader:
            return _parse(reader.get_validation_state(), json.loads(reader.json()))
    except (c2pa.C2paError, LookupError, TypeError, ValueError, AttributeError):
        return None  # a damaged manifest may have any shape


def _definition(title: str, statement: Statement, edits_parent: bool) -> dict[str, Any]:
    """The manifest to be signed, as the library wants it."""
    made = {
        "action": "c2pa.edited" if edits_parent else "c2pa.created",
        "digitalSourceType": _SOURCE_TYPE_URL + statement.source_type,
        "softwareAgent": {"name": ORGANIZATION},
        "description": statement.what,
    }
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["input0"]}}
    actions = [opened, made] if edits_parent else [made]
    # The standard's own place for "this file carries an invisible watermark of that kind".
    binding = {
        "alg": _WATERMARK,
        "blocks": [{"scope": {}, "value": f"{statement.payload:08x}"}],
    }
    return {
        "title": title,
        "claim_generator_info": [{"name": ORGANIZATION, "version": "1"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "c2pa.soft-binding", "data": binding},
            {"label": _STATEMENT, "data": asdict(statement)},
        ],
    }


def _parse(validation: str | None, store: dict[str, Any]) -> Manifest:
    """Turn the library's report into a `Manifest`."""
    active = store["manifests"][store["active_manifest"]]
    failures = store.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    problems = tuple(dict.fromkeys(failure["code"] for failure in failures))
    state: State = {"Trusted": "trusted", "Valid": "unknown signer"}.get(validation, "tampered")
    assertions = {item["label"]: item["data"] for item in active.get("assertions", [])}
    blocks = assertions.get("c2pa.soft-binding", {}).get("blocks", [])
    return Manifest(
        state,
        problems,
        active.get("signature_info", {}).get("issuer", ""),
        statement_from(assertions.get(_STATEMENT)),
        str(blocks[0].get("value", "")) if blocks else "",
        tuple(item.get("title", "") for item in active.get("ingredients", [])),
    )


def statement_from(data: Any) -> Statement | None:
    """Rebuild a statement from JSON, or None if the manifest is of another make."""
    try:
        return Statement(
            str(data["what"]),
            str(data["command"]),
            str(data["source_type"]),
            tuple(str(item) for item in data["weights"]),
            tuple((str(name), str(digest)) for name, digest in data["inputs"]),
            None if data["consent"] is None else str(data["consent"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _contains(handle: BinaryIO, marker: bytes) -> bool:
    if not os.fstat(handle.fileno()).st_size:
        return False
    with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(marker) >= 0


def _padding_is_blank(handle: BinaryIO) -> bool:
    """True if the signature's padding, which the standard leaves unsigned, is still all zeros."""
    with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        pattern = rb"c2pa\.signature\x00[\s\S]{0,8192}?\x63pad\x59([\s\S]{2})"
        pads = list(re.finditer(pattern, data))
        return bool(pads) and all(
            not any(data[pad.end() : pad.end() + int.from_bytes(pad[1], "big")]) for pad in pads
        )


def _may_carry(path: Path | str) -> bool:
    return Path(path).suffix.lower() in MIME_TYPES and Path(path).is_file()


def _hash(path: Path | str) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise UserError(
            f"cannot read the input {path}: {error.strerror or error}; check the path"
        ) from error


@lru_cache(maxsize=4)
def _context(root: bytes | None) -> Any:
    """The library's settings, with one trusted root or none."""
    import c2pa

    trust = {} if root is None else {"trust": {"user_anchors": root.decode("ascii")}}
    return c2pa.Context.from_dict({**_SETTINGS, **trust})
