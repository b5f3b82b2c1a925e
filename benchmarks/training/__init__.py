"""Scripts that train the models in the product's package data."""
