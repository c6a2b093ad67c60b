from hypothesis import settings

# Examples start threads: how long one takes says more about the machine than about the rule.
settings.register_profile("aggregation", deadline=None)
settings.load_profile("aggregation")
