import jax
import numpy as np

from toylab.training.fingerprint import fingerprint


def test_fingerprint_reads_this_process(monkeypatch):
    monkeypatch.setenv("NPROC", "8")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    found = fingerprint()
    assert (found.jax, found.numpy) == (jax.__version__, np.__version__)
    assert found.n_devices == len(jax.local_devices())
    assert (found.nproc, found.xla_flags) == ("8", "")
    assert found.x64 is (jax.numpy.zeros(1, float).dtype == np.float64)


def test_fingerprint_documents_its_fields():
    doc = type(fingerprint()).__doc__ or ""
    assert all(f"{field}: " in doc for field in fingerprint()._fields)
