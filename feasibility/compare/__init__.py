"""How do models or saved profiles differ, and is a difference real?"""
