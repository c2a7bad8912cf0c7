"""The signed manifest: Content Credentials (C2PA) that say synthetic, by what, from what.

Source: C2PA specification 2.2; signing and reading by the `c2pa` package, offline.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.files import sha256
from lab.provenance.keys import ORGANIZATION, SigningIdentity, signing_identity

SOURCE_TYPES = (
    "digitalCreation",
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
)
RECORD_LABEL = "org.deepfakes-from-scratch.record"


@dataclass(frozen=True)
class Record:
    what: str
    command: str
    source_type: str
    weights: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    consent: str | None = None


_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
}


def sign(source, target, record, payload):
    import c2pa

    identity = signing_identity()
    actions = [
        {
            "action": "c2pa.created",
            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/"
            + record.source_type,
            "softwareAgent": {"name": ORGANIZATION},
        }
    ]
    definition = {
        "claim_generator_info": [{"name": ORGANIZATION, "version": "0.1"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {
                "label": RECORD_LABEL,
                "data": {
                    "what": record.what,
                    "command": record.command,
                    "weights": list(record.weights),
                    "inputs": [{"name": Path(p).name, "sha256": sha256(p)} for p in record.inputs],
                    "consent": record.consent,
                    "watermark": f"{payload:08x}",
                },
            },
        ],
    }
    settings = {
        "verify": {"verify_after_sign": False, "ocsp_fetch": False, "remote_manifest_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Builder(definition, context) as builder,
        c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(b"es256", identity.chain, identity.private_key, None)
        ) as signer,
        open(source, "rb") as a,
        open(target, "w+b") as b,
    ):
        builder.sign(signer, _TYPES[Path(target).suffix.lower()], a, b)
