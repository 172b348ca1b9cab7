"""gpenvid: restore faces in video."""
