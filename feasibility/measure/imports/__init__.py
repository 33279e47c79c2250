"""How do reports of other programs become profiles?"""
