"""What holds for every test: no limit in wall-clock time, since the machines are shared and noisy."""

from hypothesis import HealthCheck, settings

settings.register_profile("nextbest", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nextbest")
