"""The data model: numbers, values, keys, sizes and table definitions. Pure functions, no I/O."""
