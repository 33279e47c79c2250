"""How are reports laid out on a terminal?"""
