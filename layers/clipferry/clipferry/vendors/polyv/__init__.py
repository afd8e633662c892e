"""Polyv VOD v3."""
