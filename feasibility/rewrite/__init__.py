"""How is a changed copy of a model written?"""
