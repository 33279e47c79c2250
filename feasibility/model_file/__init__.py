"""How is an untrusted model file read without its weights?"""
