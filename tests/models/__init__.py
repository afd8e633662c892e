"""Models of AWS services in memory, called in place of a client's request. Each is held to the emulator and to moto."""
