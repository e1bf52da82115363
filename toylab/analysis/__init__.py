"""What we ask of a trained model: arrays in, arrays and NamedTuples out, one module a subject.

`superposition` measures a weight matrix, `polytopes` names the shape that its columns form,
`closed_forms` holds the losses that are known on paper, `packing` what random directions do, and
`arguments` is the one place that refuses bad input.
"""
