"""Models of AWS services in memory, called in place of a client's request. Random operations hold them to moto."""
