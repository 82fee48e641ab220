"""The trigger pool: workers that run functions, and what calls them: event source mappings and the queue of events."""
