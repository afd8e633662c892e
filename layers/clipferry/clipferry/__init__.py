"""Clipferry: brings video out of vendor clouds into your own S3 bucket. Triggered once, proven whole.

The packages import downwards only: steps; intake and aws; store; transfer; vendors; outbound; pacing; then the modules
jobs, batches, redaction and settings. `docs/architecture.md` says what each holds.
"""

__version__ = "0.1.0"  # as pyproject.toml and the newest release in CHANGELOG.md say it
