"""How long does a model take on another machine? Formulas, coefficients and anchors."""
