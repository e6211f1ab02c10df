"""The host core: every decision about machines, batches and outcomes, without doing any of it."""
