"""From "does not fit" to "fits": which change of a model is enough?"""

from feasibility.called_package import make_callable

make_callable(__name__)
