"""The documentation: pages by hand, and in `making` those that are made from the code."""
