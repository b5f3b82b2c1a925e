"""When something is due, out of the words in which it was said."""
