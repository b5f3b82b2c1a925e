"""Times that a query names, and how near a memory is to them."""
