"""What runs foreign C++ on a model, in a process that can be ended."""
