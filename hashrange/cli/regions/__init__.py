"""`hashrange regions`: several regions on this machine, and global tables between them."""
