"""What users send, checked and made into values: job bodies, queries, manifests, schedules. No AWS, no clock."""
