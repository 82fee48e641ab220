"""The cache tier as programs: the role `hashrange dax`, its supervisor, its discovery address, its commands."""
