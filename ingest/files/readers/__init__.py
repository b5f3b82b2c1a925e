"""Read files into rows: one reader per format, each a generator over a binary stream.

Readers know no memories: a row is what the file says, with its place. A place that cannot be read is reported in the
same sequence, with the reason, so nothing is dropped silently.
"""
