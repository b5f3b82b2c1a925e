"""Scripts that train the models shipped as package data."""
