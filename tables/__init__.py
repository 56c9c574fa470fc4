"""The floor under models, analysis and figures: tables on disk, files whole or not at all, command lines. No torch.

- :mod:`~tables.files`: files replaced whole, folders locked
- :mod:`~tables.command_line`: flags from a dataclass, failures in one line
- :mod:`~tables.schema`: what every table's columns are; :mod:`~tables.reading` and :mod:`~tables.rows` read by it
- :mod:`~tables.result` and :mod:`~tables.record`: tables with where they come from
"""
