"""Files to frames and back: decoding, native planes, encoding, muxing, auditing. Knows nothing of faces."""
