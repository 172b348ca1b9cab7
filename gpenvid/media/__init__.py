"""Files to frames and back: decoding, native planes, encoding, muxing, auditing. Knows nothing of faces."""

import os

# SVT-AV1 prints twenty lines of settings per encoder otherwise; 1 leaves its errors.
os.environ.setdefault("SVT_LOG", "1")
