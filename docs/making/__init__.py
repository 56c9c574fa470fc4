"""Pages that are made from the code each time the documentation is built: nobody writes a flag or a column twice."""
