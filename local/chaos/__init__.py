"""The fault campaign: the deployed stack among vendors, a network and an AWS that fail; judged from outside."""
