"""`gpenvid preview`: a page to look at a clip, choose, and render."""
