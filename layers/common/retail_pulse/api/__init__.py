"""HTTP: routes, request bodies, responses, errors as status codes, and the API's description."""
