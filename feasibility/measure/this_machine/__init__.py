"""What are the facts and the speed of this machine?"""
