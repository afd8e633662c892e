"""What a job and a file are, and which changes of status are allowed.

Pure: no boto3, no clock, no I/O. Each decision here is a function of values; `store/job_records.py` makes each change
of status a conditional write.

    statuses    of a job and of a file, and the moves between them that are legal
    problems    why something failed, and warnings, as users read them
    file        one video of a job, and its copy
    job         one request of a user
"""
