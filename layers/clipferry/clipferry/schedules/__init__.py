"""Schedules as a resource: what one may say, when it fires, and how EventBridge Scheduler keeps it."""
