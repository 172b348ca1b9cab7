"""Who is where, when: detection, tracking, smoothing, alignment. Knows nothing of files or restorers."""
