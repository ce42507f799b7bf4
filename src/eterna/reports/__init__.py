"""The report: a run folder on one page of HTML that needs nothing else.

jinja2 and matplotlib are loaded when a page is built, not on import.
"""

from eterna.reports.card import write_card
from eterna.reports.page import build_report, write_report

__all__ = ["build_report", "write_card", "write_report"]
