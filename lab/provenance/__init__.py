"""Where a picture came from: visible label, invisible watermark, signed manifest."""

from lab.provenance.consent import require_consent
from lab.provenance.manifest import Record
from lab.provenance.verify import Verification, verify
from lab.provenance.write import sign_and_write

__all__ = ["Record", "Verification", "require_consent", "sign_and_write", "verify"]
