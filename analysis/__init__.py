"""Questions put to a checkpoint: one module, one command, one table each."""
