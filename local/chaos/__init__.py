"""The fault campaign: runs the deployed stack while vendors, network and AWS fail, and checks it from outside."""
