"""How does a record become one HTML file that opens offline?"""
