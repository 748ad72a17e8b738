"""Endpoints: what drives mailveil (SMTP, web)."""
