"""Read files into rows: one reader per format, each a generator over a binary stream.

A row is what the file says, with its place; `ingest.files.row_to_item` turns it into the fields of a memory. A place
that cannot be read is reported in the same sequence, with the reason, so nothing is dropped silently.
"""
