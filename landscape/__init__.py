"""The loss as a function of the weights: any module, any loss, any batches."""
