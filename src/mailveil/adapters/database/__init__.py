"""The database: what is kept for people and programs, in SQLite or PostgreSQL. Never on the way of mail."""
