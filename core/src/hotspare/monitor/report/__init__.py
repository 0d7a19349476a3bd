"""Reports about a period from a ledger: as data, text, JSON, and a self-contained HTML page."""

from hotspare.monitor.report.data import Report as Report
from hotspare.monitor.report.data import read_report as read_report
from hotspare.monitor.report.html import report_html as report_html
from hotspare.monitor.report.text import report_text as report_text
