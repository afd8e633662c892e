"""One module of routes for each resource. A route parses, calls the domain package and replies; `app` includes it."""
