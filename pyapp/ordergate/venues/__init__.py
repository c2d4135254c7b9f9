"""Connections to exchanges: each process sends what the journal names, listens, and reports.

`main.run` is the process; `link` is the gateway's end of it, `paper` the simulated exchange, `prices` what moves it.
"""
