"""Looking at a clip before it is rendered: any frame, with any settings, as the render would give it."""
