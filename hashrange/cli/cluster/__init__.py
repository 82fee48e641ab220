"""`hashrange cluster`: a whole cluster as child processes of one command, and the commands that act on it."""
