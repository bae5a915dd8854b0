"""An app for gunicorn, with and without uvicorn; every worker loads it."""

import settle

settle.settle()


def wsgi(environ, start_response):
    start_response("204 No Content", [])
    return []


async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
