"""AWS services the bundle calls besides the table and the objects: executions, events, account secrets, schedules."""
