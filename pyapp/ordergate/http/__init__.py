"""The HTTP API: a thin RSGI application over the engine, with its schemas and problem documents."""
