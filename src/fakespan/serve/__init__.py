"""The service: a page and an HTTP API that scan uploaded files, with jobs that survive a kill.

`server.run(settings)` runs it until it is told to stop; `app.create_app(service)` is the API alone. docs/service.md
tells how it is used, ARCHITECTURE.md which module does what.
"""
