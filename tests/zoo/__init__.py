"""A table of small models, each with a naive float64 twin, that everything in ``landscape`` is put to."""
