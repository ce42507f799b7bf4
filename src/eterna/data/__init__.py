"""From files and worlds to token batches, with nothing truncated or dropped in silence."""

from eterna.data.encoding import Encoded, Encoder
from eterna.data.examples import RawExample
from eterna.data.items import Item, choose_items
from eterna.data.prepare import PreparedData, ReadSource, SourceReport, prepare_data, read_sources
from eterna.data.rows import read_rows
from eterna.data.sources import read_source

__all__ = [
    "Encoded",
    "Encoder",
    "Item",
    "PreparedData",
    "RawExample",
    "ReadSource",
    "SourceReport",
    "choose_items",
    "prepare_data",
    "read_rows",
    "read_source",
    "read_sources",
]
