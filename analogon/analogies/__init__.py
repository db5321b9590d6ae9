"""a is to b as c is to what: methods, candidates, relations fitted from tables, evaluation, pictures."""
