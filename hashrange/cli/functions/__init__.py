"""`hashrange functions`: deploys handlers with their triggers, shows their logs, invokes and lists them."""
