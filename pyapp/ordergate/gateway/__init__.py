"""The gateway process: the only writer of the journal, with its HTTP server, venue sessions and kill switch."""
