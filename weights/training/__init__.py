"""Training and evaluation of the built-in models. See README.md beside this file."""
