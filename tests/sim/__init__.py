"""A whole cluster in one thread, on virtual time: nodes, network, disks, clients, faults. See README.md."""
