"""Files in, rows out: one reader a format, each a plain generator over a binary stream.

Readers know nothing of memories: a row is what the file says, with its place. What can't be read is a row too, with the
reason, so that nothing disappears silently.
"""
