"""What we ask of a trained model: arrays in, arrays and NamedTuples out, one module a subject.

`superposition` measures a weight matrix, `polytopes` names the shape that its columns form out of
those in `shapes`, `closed_forms` has the losses that can be worked out on paper, `packing` what
random directions do, `portrait` the numbers behind the pictures of one model. `arguments` refuses
bad input; `columns` is the arithmetic that the metrics share.
"""
