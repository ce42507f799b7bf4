"""Where curves and records go besides the run folder. A tracker that is down never stops a run."""

from eterna.tracking.trackers import Tracker, Trackers, open_trackers

__all__ = ["Tracker", "Trackers", "open_trackers"]
