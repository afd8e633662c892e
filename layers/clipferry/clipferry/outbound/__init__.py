"""HTTP to vendors and file hosts: the client, its connections, and the guard that checks each address."""
