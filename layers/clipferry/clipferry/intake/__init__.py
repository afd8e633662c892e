"""Checks what users send and converts it to values: job bodies, queries, manifests, schedules. No AWS, no clock."""
