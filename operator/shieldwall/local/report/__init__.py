"""The report of one or several runs: one HTML file that needs no network, and the same as JSON."""

from shieldwall.local.report.write import ReportFiles, write_report

__all__ = ["ReportFiles", "write_report"]
