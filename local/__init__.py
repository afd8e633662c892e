"""The stack on one machine: embedded AWS, vendor simulators, demo. Nothing here is deployed."""
