"""Rows of a Parquet file as JSON texts. Value: {"path", "first", "count"}; result: at most `count` rows from row
`first` (from 0) on, none at the end of the file."""
import json
import math

PACKAGES = {"pyarrow": "pyarrow==26.0.1"}


def load(argument):
    import pyarrow.parquet

    reader = Reader(pyarrow.parquet)
    return lambda value: reader.rows(value["path"], value["first"], value["count"])


class Reader:
    """Goes through a file once where the requests do."""

    def __init__(self, parquet):
        self.parquet = parquet
        self.path = None

    def rows(self, path, first, count):
        if path != self.path or first != self.position:
            self.open(path)
            self.skip(first)
        taken = self.take(count)
        self.position += len(taken)
        return [text_of(row) for row in taken]

    def open(self, path):
        self.batches = self.parquet.ParquetFile(path).iter_batches(batch_size=1024)
        self.path, self.position, self.waiting = path, 0, []

    def skip(self, count):
        while self.position < count and (taken := self.take(count - self.position)):
            self.position += len(taken)

    def take(self, count):
        while len(self.waiting) < count and (batch := next(self.batches, None)) is not None:
            self.waiting += batch.to_pylist()
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken


def text_of(row):
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:  # NaN, which pandas writes for a missing value
        return json.dumps(without_nan(row), ensure_ascii=False, allow_nan=False, default=str)


def without_nan(value):
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
