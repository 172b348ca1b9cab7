"""The service: restorations over HTTP, with a queue that survives restarts."""
