"""The HTTP service: a gallery and its bundle behind an API, for one machine or one hospital's network."""
