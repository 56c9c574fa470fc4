"""Settings that every test shares: one thread per process, and hypothesis without a deadline."""

import torch
from hypothesis import HealthCheck, settings

settings.register_profile("project", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
torch.set_num_threads(1)
