"""Books as plain text: front and back matter, chapters, scenes, verse, dashes."""

from eterna.data.books.matter import Removed
from eterna.data.books.reading import Book, BookScene, read_book

__all__ = ["Book", "BookScene", "Removed", "read_book"]
