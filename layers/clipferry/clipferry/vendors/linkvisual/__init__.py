"""Alibaba Cloud LinkVisual."""
