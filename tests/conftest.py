"""For every test: no test fails because the machine is slow, and the same code gives the same examples."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("clipferry", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("clipferry")
