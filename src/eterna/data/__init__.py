"""From files and worlds to token batches, with nothing truncated or dropped in silence."""

from eterna.data.copies import Copies, Copy
from eterna.data.encoding import Encoded, Encoder
from eterna.data.examples import RawExample
from eterna.data.fitting import SourceReport
from eterna.data.gathering import gather_again, gather_sources
from eterna.data.items import Item, choose_items
from eterna.data.prepare import PreparedData, ReadSource, prepare_data, read_sources
from eterna.data.rows import read_rows
from eterna.data.sources import read_source

__all__ = [
    "Copies",
    "Copy",
    "Encoded",
    "Encoder",
    "Item",
    "PreparedData",
    "RawExample",
    "ReadSource",
    "SourceReport",
    "choose_items",
    "gather_again",
    "gather_sources",
    "prepare_data",
    "read_rows",
    "read_source",
    "read_sources",
]
