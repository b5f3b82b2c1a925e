"""Due times: from the words of a text to an instant."""
