"""Read files into rows: one reader for each format, a generator over a binary stream.

A row has the fields that the file gives for one entry, and its place in the file;
`ingest.files.row_to_item` turns it into the fields of a memory. A part that cannot be read is
reported among the rows, with its place and the reason, so nothing is dropped silently.
"""
