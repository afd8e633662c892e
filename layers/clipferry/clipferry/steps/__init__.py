"""What each Lambda function does, without Lambda itself: the steps of a job, on the store, the vendors and transfer.

A step is called with a job id and a generation. It may be repeated after any crash. It returns data by which the
state machine chooses its next state. An exception means "call me again"; every other outcome is a return value.
"""
