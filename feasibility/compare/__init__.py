"""How do models or saved profiles differ, and is a difference real?"""

from feasibility.called_package import make_callable

make_callable(__name__)
