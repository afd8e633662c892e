"""Clipferry: brings video out of vendor clouds into your own S3 bucket. Triggered once, proven whole.

The packages import downwards only: steps; intake and aws; store; transfer; vendors; outbound; pacing; then the modules
jobs, batches, redaction and settings. `docs/architecture.md` says what each holds.
"""
