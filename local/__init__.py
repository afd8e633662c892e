"""The stack on one machine: embedded AWS, vendor simulators, demo. Nothing in this package is deployed."""
