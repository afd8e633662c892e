"""Copying one HLS video: its playlists, segments, and keys."""
