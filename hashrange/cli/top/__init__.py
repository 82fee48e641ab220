"""`hashrange top`: what every process tells of itself (`page`), gathered, turned into rates, and drawn."""
