"""Clipferry: video out of vendor clouds, into your own S3 bucket, triggered once and proven whole.

The modules import downwards only: jobs, vendors, accounts, store, cadence, transfer, http, events, settings.
"""
