"""Crop to better crop: GPEN and what loads, batches and runs it. Knows nothing of video.

Called, `gpenvid.restore(source)` is the main job: see `gpenvid.job.restore.restore`.
"""
