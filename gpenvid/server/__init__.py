"""The preview page and the service: HTTP on top of the same public functions as the command line."""
