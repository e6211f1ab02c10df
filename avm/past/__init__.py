"""The past: stores read without their hosts, journals executed again, and forks of what was."""
