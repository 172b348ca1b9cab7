"""`gpenvid bench`: what restoring costs on this machine."""
