"""Pure rules on when a call may be made: call rates, task slots, when to look at the vendor next, durations."""
