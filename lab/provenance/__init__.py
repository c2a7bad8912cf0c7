"""Where a file came from: a visible label, an invisible watermark, a signed manifest.

write.py      sign_and_write: the only way out for synthetic media
verify.py     read all three layers back and say what is left
consent.py    footage of a person needs a statement
label.py      SYNTHETIC in the corner
watermark.py  32 bits as faint grain, found after compression, scaling and cropping
bch.py        the error-correcting code of the watermark
manifest.py   Content Credentials: what, by what, from what, whose consent
keys.py       this machine's certificates and signing key
records.py    what was signed here, so that a watermark alone can be traced
"""

from lab.provenance.consent import require_consent
from lab.provenance.manifest import Record
from lab.provenance.verify import Verification, verify
from lab.provenance.write import sign_and_write

__all__ = ["Record", "Verification", "require_consent", "sign_and_write", "verify"]
