"""Which loss for these data: plan, run, compare, report."""
