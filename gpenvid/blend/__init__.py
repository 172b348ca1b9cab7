"""Better crop to frame: warps, masks, colour, residuals. Knows nothing of files, detectors or networks."""
