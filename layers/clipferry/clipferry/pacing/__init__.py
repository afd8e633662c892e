"""Pure rules that decide when a call may be made: call rates, task slots, the times of looks, learned durations."""
