"""Which devices are there, and what do their files say?"""
