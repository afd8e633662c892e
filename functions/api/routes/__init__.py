"""One module of routes for each resource, thin: parse, call the domain package, reply. `app` takes each in."""
