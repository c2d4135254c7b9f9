"""`ordergate up`: Postgres, Valkey and our own processes as one household that starts, lives and stops together."""
