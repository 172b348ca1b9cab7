"""Crop to better crop: GPEN and what loads, batches and runs it. Knows nothing of video."""
