"""The one way out to vendors: the HTTP client, its connections, and the guard that checks every address."""
