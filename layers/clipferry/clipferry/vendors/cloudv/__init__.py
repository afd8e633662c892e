"""Wangsu / CDNetworks Cloud VoD (cloudv)."""
