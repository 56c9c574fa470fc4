"""The pictures, by what they show; :mod:`~figures.pictures.catalogue` lists them."""
