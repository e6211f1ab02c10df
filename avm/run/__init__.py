"""The shells of a running host: processes, sockets and tasks, wired in one visible place."""
