"""Sentences about numbers, and the rows of tables that they are about."""
