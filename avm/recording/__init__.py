"""What a running host was told and what it answered, kept so that it can be told again. Pure."""
