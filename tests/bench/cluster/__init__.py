"""What a whole cluster on this machine costs and how it fails over: see `__main__` for how to run it.

`scene` starts the cluster and spreads a table over it, `load` runs workloads and charges the processor time of every
process (`cpu`), `probes` measures the disk and a frame's round trip, `failover` kills, `profile` samples, `plane`
measures what the control plane's messages cost, `report` prints.
"""
