"""Rules of the repository as tests, each with a negative control that shows it can fail."""
