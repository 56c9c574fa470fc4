"""Networks, their losses and data, and how they are trained: weights being produced."""
