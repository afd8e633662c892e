"""Alibaba Cloud Intelligent Media Services (IMS)."""
