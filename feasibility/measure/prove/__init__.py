"""Which memory limits does a model survive, and which is the lowest?"""
