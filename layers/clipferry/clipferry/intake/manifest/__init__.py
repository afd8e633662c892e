"""A manifest holds many job bodies in one object, one in each record. Pure: from bytes to bodies or problems.

records.py   where a record of JSONL or CSV ends, found in a stream
layout.py    how a record is read: the columns of CSV, what counts as blank
chunks.py    the manifest divided into chunks of records, once
bodies.py    from a record to a job body, the batch's defaults under it
"""
