"""How far are predictions from published measurements?"""
