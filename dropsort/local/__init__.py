"""The service on one machine: embedded AWS, embedded endpoint, the template deployed unchanged."""
