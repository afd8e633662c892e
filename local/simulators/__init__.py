"""The four vendors on 127.0.0.1: real protocols, signatures, limits, statuses and video bytes. One module a vendor."""
