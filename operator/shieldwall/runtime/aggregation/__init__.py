"""From the admitted updates of a round to one."""
