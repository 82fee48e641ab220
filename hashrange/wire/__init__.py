"""The contract between processes: messages and their encodings."""
