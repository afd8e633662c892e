"""The handlers, as their own tests have them."""

from __future__ import annotations

from tests.unit.functions.conftest import functions as functions
