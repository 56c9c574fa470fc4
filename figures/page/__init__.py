"""The parts of the report: pictures with their sentences, tables, the paper's numbers, surfaces to turn."""
