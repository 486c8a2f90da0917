"""A key-value store with the methods of jax.distributed's client, in this process."""

import threading


class Store(dict):
    """What jax's distributed client offers, in this process."""

    def __init__(self):
        self.changed = threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self
        with self.changed:
            self[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self.changed:
            assert self.changed.wait_for(lambda: key in self, timeout=5)
        return self[key]

    def key_value_dir_get(self, key):
        return [(name, value) for name, value in self.items() if name.startswith(key)]
