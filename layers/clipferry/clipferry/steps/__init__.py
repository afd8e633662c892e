"""What each function does, without Lambda: the job's life as steps over the store, the vendors and the transfer.

A step is called with a job id and a generation, may be repeated after any crash, and answers with data that the
state machine routes on. An exception means "try me again"; everything else is a return value.
"""
